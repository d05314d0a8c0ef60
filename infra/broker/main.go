// The local broker: one process that speaks the Kafka protocol on loopback, for the demo, tests and a first try.
//
// It is franz-go's kfake, which is a fake: one node, no replication, no security. Never for production. What this
// file adds is what a child process needs: checked flags, one ready line, a lock on its data, retention, an end
// together with its parent, and a clean stop.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Room for the batch header around a message of exactly --max-message-bytes.
const batchOverhead = 64 << 10

// kfake starts its own cleaner at this pace; ours replaces it, so it is put out of the way (a hundred years).
const never = "3153600000000"

type settings struct {
	port            int
	dataDir         string
	partitions      int
	retentionBytes  int64
	retentionMs     int64
	segmentBytes    int64
	maxMessageBytes int64
	sync            bool
	ignoreStdin     bool
	compactSeconds  int
	logLevel        string
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("loopai-broker", flag.ContinueOnError)
	flags.IntVar(&s.port, "port", 0, "port on 127.0.0.1; 0 takes a free one")
	flags.StringVar(&s.dataDir, "data-dir", "", "keep records, offsets and groups here; empty keeps them in memory")
	flags.IntVar(&s.partitions, "partitions", 4, "partitions of a topic that is created without a number")
	flags.Int64Var(&s.retentionBytes, "retention-bytes", 128<<20, "size of a partition past which its oldest records go; -1 keeps all")
	flags.Int64Var(&s.retentionMs, "retention-ms", 7*24*3600*1000, "age past which records go; -1 keeps all")
	flags.Int64Var(&s.segmentBytes, "segment-bytes", 16<<20, "size of a segment; retention removes whole segments")
	flags.Int64Var(&s.maxMessageBytes, "max-message-bytes", 16<<20, "largest message that is taken")
	flags.BoolVar(&s.sync, "sync", false, "fsync each write (slower; without it a power cut, not a crash, may lose records)")
	flags.BoolVar(&s.ignoreStdin, "ignore-stdin", false, "go on when standard input closes (to run under a service manager)")
	flags.IntVar(&s.compactSeconds, "compact-seconds", 30, "pace of compaction, which is done in memory only (not with --data-dir)")
	flags.StringVar(&s.logLevel, "log-level", "error", "none, error, warn, info or debug; goes to standard error")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.port < 0 || s.port > 65535:
		return s, fmt.Errorf("--port %d: must be 0 to 65535", s.port)
	case s.partitions < 1 || s.partitions > 10_000:
		return s, fmt.Errorf("--partitions %d: must be 1 to 10000", s.partitions)
	case s.retentionBytes < -1 || s.retentionBytes == 0:
		return s, fmt.Errorf("--retention-bytes %d: must be positive, or -1", s.retentionBytes)
	case s.retentionMs < -1 || s.retentionMs == 0:
		return s, fmt.Errorf("--retention-ms %d: must be positive, or -1", s.retentionMs)
	case s.segmentBytes < 1<<20 || s.segmentBytes > 1<<30:
		return s, fmt.Errorf("--segment-bytes %d: must be 1 MiB to 1 GiB", s.segmentBytes)
	case s.maxMessageBytes < 1<<10 || s.maxMessageBytes > 256<<20:
		return s, fmt.Errorf("--max-message-bytes %d: must be 1 KiB to 256 MiB", s.maxMessageBytes)
	case s.compactSeconds < 1 || s.compactSeconds > 86_400:
		return s, fmt.Errorf("--compact-seconds %d: must be 1 to 86400", s.compactSeconds)
	case s.sync && s.dataDir == "":
		return s, errors.New("--sync needs --data-dir")
	}
	if _, ok := levels[s.logLevel]; !ok {
		return s, fmt.Errorf("--log-level %q: must be none, error, warn, info or debug", s.logLevel)
	}
	return s, nil
}

var levels = map[string]kfake.LogLevel{
	"none": kfake.LogLevelNone, "error": kfake.LogLevelError, "warn": kfake.LogLevelWarn,
	"info": kfake.LogLevelInfo, "debug": kfake.LogLevelDebug,
}

func (s settings) options() []kfake.Opt {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	opts := []kfake.Opt{
		kfake.ClusterID("loopai-local"),
		kfake.Ports(s.port),
		kfake.DefaultNumPartitions(s.partitions),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.GroupMaxSessionTimeout(30 * time.Minute),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, levels[s.logLevel])),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":      number(s.maxMessageBytes + batchOverhead),
			"log.retention.bytes":    number(s.retentionBytes),
			"log.retention.ms":       number(s.retentionMs),
			"log.segment.bytes":      number(s.segmentBytes),
			"log.cleaner.backoff.ms": never,
		}),
	}
	if s.dataDir != "" {
		opts = append(opts, kfake.DataDir(s.dataDir))
	}
	if s.sync {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// lock refuses a second broker over the same data: two of them would overwrite each other's segments.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "broker.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s is in use by another local broker", dir)
	}
	return file, nil
}

func run(s settings) error {
	if s.dataDir != "" {
		held, err := lock(s.dataDir)
		if err != nil {
			return err
		}
		defer held.Close()
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	cluster, err := kfake.NewCluster(s.options()...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	createOnFirstUse(cluster)
	every := s.compactSeconds
	if s.dataDir != "" {
		every = 0
	}
	clean := newCleaner(cluster, every)
	ready, err := json.Marshal(map[string]any{"bootstrap": cluster.ListenAddrs()[0], "pid": os.Getpid()})
	if err != nil {
		return err
	}
	fmt.Println(string(ready))

	parentGone := make(chan struct{})
	if !s.ignoreStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(parentGone)
		}()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			clean.tick()
		case <-stop:
			return nil
		case <-parentGone:
			return nil
		}
	}
}

func main() {
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loopai-broker:", err)
		os.Exit(2)
	}
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "loopai-broker:", err)
		os.Exit(1)
	}
}
