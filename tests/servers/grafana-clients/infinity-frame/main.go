// A model of how the Infinity data source of Grafana makes a frame of JSON, by what its documentation says of its backend
// parsers and by the libraries that it uses for selectors: gojq for the root of the parser `jq-backend`, gjson for that of
// `backend` and for columns. Its own module is not to be had from every Go proxy, so it is not used here.
//
// Reads {"query": the `target` of a query or annotation, "body": the text that the URL answered} and writes the frame as a
// browser gets it: {"fields": [{"name", "type", "values"}]}, times in milliseconds, fields in order of their names.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"

	"github.com/itchyny/gojq"
	"github.com/tidwall/gjson"
)

type column struct {
	Selector string `json:"selector"`
	Text     string `json:"text"`
	Type     string `json:"type"`
}

type query struct {
	Type         string   `json:"type"`
	Parser       string   `json:"parser"`
	Format       string   `json:"format"`
	RootSelector string   `json:"root_selector"`
	Columns      []column `json:"columns"`
}

type field struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Values []any  `json:"values"`
}

func main() {
	var asked struct {
		Query query  `json:"query"`
		Body  string `json:"body"`
	}
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	fields, err := frame(asked.Query, asked.Body)
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{"fields": fields}))
}

func frame(asked query, body string) ([]field, error) {
	if asked.Type != "json" || len(asked.Columns) == 0 {
		return nil, errors.New("this model knows queries of the type json that name their columns")
	}
	if !gjson.Valid(body) {
		return nil, errors.New("the body is not JSON")
	}
	rows, err := root(asked, body)
	if err != nil {
		return nil, err
	}
	fields := []field{}
	for _, one := range asked.Columns {
		fields = append(fields, made(one, rows))
	}
	sort.SliceStable(fields, func(a, b int) bool { return fields[a].Name < fields[b].Name })
	return fields, nil
}

func root(asked query, body string) ([]gjson.Result, error) {
	switch asked.Parser {
	case "backend":
		if asked.RootSelector == "" {
			return gjson.Parse(body).Array(), nil
		}
		// What is no path of gjson is JSONata to some versions and an error to others.
		found := gjson.Get(body, asked.RootSelector)
		if !found.Exists() {
			return nil, fmt.Errorf("no such root: %q", asked.RootSelector)
		}
		return found.Array(), nil
	case "jq-backend":
		return byJQ(asked.RootSelector, body)
	}
	return nil, fmt.Errorf("this model knows the parsers backend and jq-backend, not %q", asked.Parser)
}

// byJQ is what a program of jq puts out; one array alone stands for its elements.
func byJQ(program, body string) ([]gjson.Result, error) {
	parsed, err := gojq.Parse(program)
	if err != nil {
		return nil, err
	}
	var input any
	if err := json.Unmarshal([]byte(body), &input); err != nil {
		return nil, err
	}
	out := []any{}
	for run := parsed.Run(input); ; {
		value, more := run.Next()
		if !more {
			break
		}
		if err, failed := value.(error); failed {
			return nil, err
		}
		out = append(out, value)
	}
	var all any = out
	if len(out) == 1 {
		if elements, is := out[0].([]any); is {
			all = elements
		}
	}
	text, err := json.Marshal(all)
	return gjson.ParseBytes(text).Array(), err
}

// made is one column. Its first value that is not null decides: an array or object makes all of them text, their JSON,
// whatever the type of the column; else the type of the column counts.
func made(one column, rows []gjson.Result) field {
	made := field{Name: one.Text, Values: make([]any, len(rows))}
	if made.Name == "" {
		made.Name = one.Selector
	}
	found := make([]gjson.Result, len(rows))
	nested, first := false, gjson.Null
	for i, row := range rows {
		found[i] = row.Get(one.Selector)
		if first == gjson.Null {
			first = found[i].Type
			nested = found[i].IsArray() || found[i].IsObject()
		}
	}
	made.Type = typed(one.Type, first)
	if nested {
		made.Type = "string"
	}
	for i, value := range found {
		switch {
		case nested:
			made.Values[i] = minified(value)
		case value.Type != gjson.Null:
			made.Values[i] = converted(one.Type, value)
		}
	}
	return made
}

func typed(column string, first gjson.Type) string {
	switch column {
	case "timestamp_epoch", "timestamp_epoch_s":
		return "time"
	case "number", "string", "boolean":
		return column
	}
	switch first {
	case gjson.Number:
		return "number"
	case gjson.True, gjson.False:
		return "boolean"
	}
	return "string"
}

func converted(column string, value gjson.Result) any {
	switch column {
	case "string":
		if value.IsArray() || value.IsObject() {
			return nil
		}
		// As %v of a float64: 1.7955e+12 where a time of milliseconds is called a text.
		if value.Type == gjson.Number {
			return fmt.Sprintf("%v", value.Num)
		}
		return value.String()
	case "number", "timestamp_epoch", "timestamp_epoch_s":
		number, err := strconv.ParseFloat(value.String(), 64)
		if err != nil {
			return nil
		}
		if column == "timestamp_epoch_s" {
			number *= 1000
		}
		return number
	}
	return value.Value()
}

func minified(value gjson.Result) string {
	if value.Type == gjson.Null {
		return "null"
	}
	text, err := json.Marshal(value.Value())
	must(err)
	return string(text)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "infinity-frame:", err)
		os.Exit(1)
	}
}
