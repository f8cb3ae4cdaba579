package models

import (
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Story is a text that only memory can end: "Tom is a cat. (Distance words of other sentences.) Tom's favorite food is", and the food.
type Story struct {
	Distance   int
	Text, Food string
}

// Stories are the ones that the embedded models rnn and lstm have not seen: pairs of name and distance, and sentences between,
// that were kept out of their training. See convert/recipe/next-word. Empty if built without models.
func Stories() ([]Story, error) {
	if stories == "" {
		return nil, nil
	}
	z, err := gzip.NewReader(strings.NewReader(stories))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	var all []Story
	for i, line := range strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n") {
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("stories: line %d has %d fields", i+1, len(fields))
		}
		distance, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, err
		}
		all = append(all, Story{distance, fields[1], fields[2]})
	}
	return all, nil
}
