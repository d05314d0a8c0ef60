package main

import (
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createOnFirstUse creates a topic when a client first asks for it. kfake can do this by itself, but then does not
// write the new topic down: after a crash its records would lie on disk, and nobody would know of them.
func createOnFirstUse(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		metadata, ok := request.(*kmsg.MetadataRequest)
		if !ok || !metadata.AllowAutoTopicCreation {
			return nil, nil, false
		}
		for _, topic := range metadata.Topics {
			if topic.Topic != nil && *topic.Topic != "" && cluster.TopicInfo(*topic.Topic) == nil {
				// A name that Kafka does not allow stays unknown, and the answer to the client says so.
				_ = cluster.CreateTopic(*topic.Topic, -1, nil)
			}
		}
		return nil, nil, false // not handled: kfake answers, and this function stays in force
	})
}
