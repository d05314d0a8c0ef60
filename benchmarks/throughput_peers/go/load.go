package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partitions of the inputs; records go to them in turn, so that each holds as many.
const partitions = 4

const warmUp = 250 * time.Millisecond

// preload writes the inputs in batches of at most 64 kB, as a busy producer would.
func preload(ctx context.Context) error {
	values, err := lines()
	if err != nil {
		return err
	}
	made, err := client(kgo.DefaultProduceTopic(*in), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(64<<10), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return err
	}
	defer made.Close()
	given := headers()
	for i := range *records {
		made.Produce(ctx, &kgo.Record{
			Key: fmt.Appendf(nil, "r%07d", i), Value: values[i%len(values)], Headers: given, Partition: int32(i % partitions),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(err)
			}
		})
	}
	return made.Flush(ctx)
}

// skip puts a group that nobody is in to the end of the inputs.
func skip(ctx context.Context) error {
	adm, err := admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	listed, err := adm.ListEndOffsets(ctx, *in)
	if err != nil {
		return err
	}
	return adm.CommitAllOffsets(ctx, *group, listed.Offsets())
}

// truncate lets the broker delete what was measured.
func truncate(ctx context.Context) error {
	adm, err := admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	listed, err := adm.ListEndOffsets(ctx, *out)
	if err != nil {
		return err
	}
	_, err = adm.DeleteRecords(ctx, listed.Offsets())
	return err
}

// count follows the end of the results topic every 10 ms. Nobody is measured while still getting up to speed: the window
// begins a quarter of a second after the first result (after a quarter of the records, where those come sooner), and
// not before the group has its members. It ends with the last result, or after `seconds`.
func count(ctx context.Context) error {
	adm, err := admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	base, err := ends(ctx, adm, *out)
	if err != nil {
		return err
	}
	tell(map[string]any{"event": "base", "offsets": base})
	var up, first, last time.Time
	var before, seen int64
	from, begun := sum(base), time.Now()
	for ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		now, err := ends(ctx, adm, *out)
		if err != nil {
			return err
		}
		at, total := time.Now(), sum(now)-from
		if first.IsZero() {
			if total > 0 && up.IsZero() && joined(ctx, adm) {
				up = at
			}
			if !up.IsZero() && (at.Sub(up) >= warmUp || total >= int64(*records)/4) {
				first, before = at, total
				tell(map[string]any{"event": "first", "records": total})
			} else if up.IsZero() && at.Sub(begun).Seconds() > *patience {
				tell(map[string]any{"event": "silent", "records": total})
				return nil
			}
		}
		if total > seen {
			seen, last = total, at
		}
		if !first.IsZero() && (total >= int64(*records) || at.Sub(first).Seconds() > *seconds) {
			break
		}
	}
	window := last.Sub(first).Seconds()
	told := map[string]any{"event": "last", "records": seen, "counted": seen - before, "seconds": window}
	if window > 0 {
		told["rate"] = float64(seen-before) / window
	}
	tell(told)
	return nil
}

func joined(ctx context.Context, adm *kadm.Client) bool {
	if *members == 0 {
		return true
	}
	described, err := adm.DescribeGroups(ctx, *group)
	if err != nil {
		return false
	}
	found := described[*group]
	return found.State == "Stable" && len(found.Members) == *members
}
