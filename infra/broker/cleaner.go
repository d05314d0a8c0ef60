package main

import (
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cleaner applies retention and compaction, which kfake does only when it is told.
//
// Two things in kfake are not as Kafka has them, and would lose programs and deployments:
//   - retention removes records of compacted topics too, so those are created with retention off;
//   - compaction deletes a partition's files before it writes the new ones, so a crash in between loses the topic.
//     It is therefore done only in memory. With a data folder old values stay on disk, which readers do not mind.
type cleaner struct {
	cluster   *kfake.Cluster
	every     int // ticks of a second between two compactions; 0 never compacts
	mu        sync.Mutex
	compacted map[string]int64 // topic -> the sum of its high watermarks when it was last compacted
	ticks     int
}

func newCleaner(cluster *kfake.Cluster, every int) *cleaner {
	c := &cleaner{cluster: cluster, every: every, compacted: map[string]int64{}}
	cluster.ControlKey(int16(kmsg.CreateTopics), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if create, ok := request.(*kmsg.CreateTopicsRequest); ok {
			c.created(create)
		}
		return nil, nil, false
	})
	return c
}

// created runs before kfake sees the request. Not handled, so it stays in force for the next one.
func (c *cleaner) created(request *kmsg.CreateTopicsRequest) {
	for i := range request.Topics {
		topic := &request.Topics[i]
		if policy(topic) != "compact" {
			continue
		}
		kept := topic.Configs[:0]
		for _, config := range topic.Configs {
			if config.Name != "retention.ms" && config.Name != "retention.bytes" {
				kept = append(kept, config)
			}
		}
		for _, name := range []string{"retention.ms", "retention.bytes"} {
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = name, kmsg.StringPtr("-1")
			kept = append(kept, config)
		}
		topic.Configs = kept
		c.mu.Lock()
		c.compacted[topic.Topic] = 0
		c.mu.Unlock()
	}
}

func policy(topic *kmsg.CreateTopicsRequestTopic) string {
	for _, config := range topic.Configs {
		if config.Name == "cleanup.policy" && config.Value != nil {
			return strings.TrimSpace(*config.Value)
		}
	}
	return ""
}

func (c *cleaner) tick() {
	c.ticks++
	if c.every > 0 && c.ticks%c.every == 0 && c.grown() {
		c.cluster.Compact() // applies retention as well
		return
	}
	c.cluster.ApplyRetention()
}

// grown says whether a compacted topic got records since the last look; compaction rewrites everything it meets.
func (c *cleaner) grown() bool {
	c.mu.Lock()
	topics := make([]string, 0, len(c.compacted))
	for topic := range c.compacted {
		topics = append(topics, topic)
	}
	c.mu.Unlock()
	grown := false
	for _, topic := range topics {
		var end int64
		for _, partition := range c.cluster.PartitionInfos(topic) {
			end += partition.HighWatermark
		}
		c.mu.Lock()
		if end != c.compacted[topic] {
			c.compacted[topic], grown = end, true
		}
		c.mu.Unlock()
	}
	return grown
}
