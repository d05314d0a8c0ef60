package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var names = [][]byte{[]byte(`"urgent"`), []byte(`"billing"`), []byte(`"general"`)}

// verify reads the results between the offsets on standard input and the end: each answered record, once or more
// often, with its label compared with the rule's.
func verify(ctx context.Context) error {
	values, err := lines()
	if err != nil {
		return err
	}
	expected := make([]string, len(values))
	for i, value := range values {
		var read input
		if err := json.Unmarshal(value, &read); err != nil {
			return err
		}
		expected[i] = `"` + label(read.Text) + `"`
	}
	base := map[int32]int64{}
	if err := json.NewDecoder(os.Stdin).Decode(&base); err != nil {
		return err
	}
	adm, err := admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	until, err := ends(ctx, adm, *out)
	if err != nil {
		return err
	}
	from := map[int32]kgo.Offset{}
	open := map[int32]bool{}
	for partition, offset := range base {
		if until[partition] > offset {
			from[partition], open[partition] = kgo.NewOffset().At(offset), true
		}
	}
	times := map[string]int{}
	var read, wrong, transactional int
	if len(open) > 0 {
		level := kgo.ReadUncommitted()
		if *committed {
			level = kgo.ReadCommitted()
		}
		made, err := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{*out: from}),
			kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
		if err != nil {
			return err
		}
		defer made.Close()
		limited, cancel := context.WithTimeout(ctx, 60*time.Second)
		defer cancel()
		for len(open) > 0 && limited.Err() == nil {
			made.PollRecords(limited, 20_000).EachRecord(func(record *kgo.Record) {
				if record.Offset+1 >= until[record.Partition] {
					delete(open, record.Partition)
				}
				if record.Attrs.IsControl() {
					return
				}
				read++
				if record.Attrs.IsTransactional() {
					transactional++
				}
				key := string(record.Key)
				times[key]++
				number, err := strconv.Atoi(strings.TrimPrefix(key, "r"))
				if *labels && (err != nil || !bytes.Contains(record.Value, []byte(expected[number%len(expected)]))) {
					wrong++
				}
			})
		}
	}
	tell(map[string]any{
		"event": "verified", "read": read, "distinct": len(times), "wrong": wrong, "transactional": transactional,
		"unread_partitions": len(open),
	})
	return nil
}

// latency sends at each rate in turn and reads the results topic all the while. A record's key is the nanosecond at
// which it was sent, so whoever keeps keys needs to do nothing for it.
func latency(ctx context.Context) error {
	values, err := lines()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	adm, err := admin()
	if err != nil {
		return err
	}
	end, err := ends(ctx, adm, *out)
	adm.Close()
	if err != nil {
		return err
	}
	from := map[int32]kgo.Offset{}
	for partition, offset := range end {
		from[partition] = kgo.NewOffset().At(offset)
	}
	level := kgo.ReadUncommitted()
	if *committed {
		level = kgo.ReadCommitted()
	}
	reader, err := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{*out: from}), kgo.FetchIsolationLevel(level))
	if err != nil {
		return err
	}
	defer reader.Close()
	type arrival struct{ sent, took int64 }
	arrived := make(chan arrival, 1<<20)
	go func() {
		for ctx.Err() == nil {
			fetches := reader.PollFetches(ctx)
			now := time.Now().UnixNano()
			fetches.EachRecord(func(record *kgo.Record) {
				if sent, err := strconv.ParseInt(string(record.Key), 10, 64); err == nil {
					arrived <- arrival{sent, now - sent}
				}
			})
		}
	}()
	writer, err := client(kgo.DefaultProduceTopic(*in), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer writer.Close()
	given, sent := headers(), 0
	send := func() {
		writer.Produce(ctx, &kgo.Record{
			Key: strconv.AppendInt(nil, time.Now().UnixNano(), 10), Value: values[sent%len(values)],
			Headers: given, Partition: int32(sent % partitions),
		}, nil)
		sent++
	}
	begun := time.Now()
	for len(arrived) == 0 {
		if time.Since(begun).Seconds() > *patience {
			tell(map[string]any{"event": "silent"})
			return nil
		}
		send()
		time.Sleep(50 * time.Millisecond)
	}
	tell(map[string]any{"event": "first"})
	for _, word := range strings.Split(*rates, ",") {
		rate, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		pace(rate, *settle, send)
		opened := time.Now().UnixNano()
		wanted := pace(rate, *seconds, send)
		closed := time.Now().UnixNano()
		var took []float64
		deadline := time.After(2 * time.Second)
	collect:
		for len(took) < wanted {
			select {
			case one := <-arrived:
				if one.sent >= opened && one.sent <= closed {
					took = append(took, float64(one.took)/1e6)
				}
			case <-deadline:
				break collect
			}
		}
		told := map[string]any{"event": "rate", "rate": rate, "sent": wanted, "arrived": len(took)}
		if sort.Float64s(took); len(took) > 0 {
			told["p50"], told["p99"], told["worst"] = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
		}
		tell(told)
		if len(took) < wanted {
			return nil // behind already: a higher rate would only tell of the queue
		}
	}
	return nil
}

// pace sends what is due every millisecond and returns how many that were.
func pace(rate int, seconds float64, send func()) int {
	begun, done := time.Now(), 0
	for {
		since := time.Since(begun).Seconds()
		for due := int(float64(rate) * min(since, seconds)); done < due; done++ {
			send()
		}
		if since >= seconds {
			return done
		}
		time.Sleep(time.Millisecond)
	}
}
