package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// run is the limit: what an engineer would write with franz-go. A goroutine a partition answers; an offset is marked
// when its result is acknowledged, and marks are committed by the client every 200 ms.
func run(ctx context.Context) error {
	made, err := client(
		kgo.ConsumerGroup(*group), kgo.ConsumeTopics(*in),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(200*time.Millisecond),
		kgo.DefaultProduceTopic(*out), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(0),
	)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		fetches := made.PollRecords(ctx, 10_000)
		var wait sync.WaitGroup
		fetches.EachPartition(func(part kgo.FetchTopicPartition) {
			wait.Go(func() {
				for _, record := range part.Records {
					value, err := answer(record.Value)
					if err != nil {
						fail(err)
					}
					result := &kgo.Record{Key: record.Key, Value: value, Partition: record.Partition}
					made.Produce(ctx, result, func(_ *kgo.Record, err error) {
						if err == nil {
							made.MarkCommitRecords(record)
						} else if ctx.Err() == nil {
							fail(err)
						}
					})
				}
			})
		})
		wait.Wait()
	}
	last, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = made.CommitMarkedOffsets(last)
	made.CloseAllowingRebalance()
	return nil
}
