// The limit and the neutral side of benchmarks/throughput.py, as one program:
//
//	run      the same job as everybody, unjailed: read, label, write, commit what is acknowledged
//	preload  the inputs, once for all
//	skip     a group that begins at the end, so that only new records are read
//	count    how many records are on the results topic, by the broker's own offsets
//	verify   each result read back: which records were answered, how often, and whether rightly
//	latency  records sent at a steady rate, and how long each took to come out at the other end
//	truncate results that were measured already
//
// What is found goes to standard output, one JSON object a line.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	brokers   = flag.String("brokers", "", "host:port")
	in        = flag.String("in", "", "topic that the subject reads")
	out       = flag.String("out", "", "topic that the subject writes")
	group     = flag.String("group", "", "consumer group of the subject")
	file      = flag.String("file", "", "inputs, one JSON value a line")
	header    = flag.String("header", "", "name=value, on each input")
	records   = flag.Int("records", 0, "how many")
	members   = flag.Int("members", 0, "count begins when the group has as many members")
	seconds   = flag.Float64("seconds", 10, "longest window")
	patience  = flag.Float64("patience", 20, "seconds until the first result")
	rates     = flag.String("rates", "5000", "records a second, one after the other")
	settle    = flag.Float64("settle", 1, "seconds at a rate before it is measured")
	committed = flag.Bool("committed", false, "only what is committed by transactions")
	labels    = flag.Bool("labels", true, "results carry a label")
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("a command is missing"))
	}
	command := os.Args[1]
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	commands := map[string]func(context.Context) error{
		"run": run, "preload": preload, "skip": skip, "count": count,
		"verify": verify, "latency": latency, "truncate": truncate,
	}
	chosen, known := commands[command]
	if !known {
		fail(fmt.Errorf("%s is no command", command))
	}
	if err := chosen(ctx); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func tell(fields map[string]any) {
	line, err := json.Marshal(fields)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func client(options ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(*brokers, ",")...), kgo.FetchMaxWait(100 * time.Millisecond),
		// Its own default is snappy; everybody else's is none.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
	return kgo.NewClient(append(common, options...)...)
}

func admin() (*kadm.Client, error) {
	made, err := client()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(made), nil
}

func lines() ([][]byte, error) {
	content, err := os.ReadFile(*file)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for _, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
		found = append(found, []byte(line))
	}
	return found, nil
}

func headers() []kgo.RecordHeader {
	name, value, given := strings.Cut(*header, "=")
	if !given {
		return nil
	}
	return []kgo.RecordHeader{{Key: name, Value: []byte(value)}}
}

func ends(ctx context.Context, adm *kadm.Client, topic string) (map[int32]int64, error) {
	list := adm.ListEndOffsets
	if *committed {
		list = adm.ListCommittedOffsets
	}
	listed, err := list(ctx, topic)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			err = o.Err
		}
		found[o.Partition] = o.Offset
	})
	return found, err
}

func sum(offsets map[int32]int64) (total int64) {
	for _, offset := range offsets {
		total += offset
	}
	return total
}
