package main

// The logic of rule.py, the way it is written in Go.

import (
	"encoding/json"
	"regexp"
	"strings"
)

var (
	incident = regexp.MustCompile(`error \d{3}\b`)
	amount   = regexp.MustCompile(`\$\d+\.\d\d`)
)

func label(text string) string {
	text = strings.ToLower(text)
	if strings.Contains(text, "outage") || strings.Contains(text, "urgent") || strings.Contains(text, "cannot log in") ||
		incident.MatchString(text) {
		return "urgent"
	}
	if strings.Contains(text, "invoice") || strings.Contains(text, "refund") || strings.Contains(text, "charged") ||
		amount.MatchString(text) {
		return "billing"
	}
	return "general"
}

type input struct {
	Text string `json:"text"`
}

type output struct {
	Label string `json:"label"`
}

// answer is the whole job for one record, from JSON to JSON.
func answer(value []byte) ([]byte, error) {
	var read input
	if err := json.Unmarshal(value, &read); err != nil {
		return nil, err
	}
	return json.Marshal(output{label(read.Text)})
}
