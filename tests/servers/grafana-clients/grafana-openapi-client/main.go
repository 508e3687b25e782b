// Drives grafana-openapi-client-go, Grafana's own client, as it is published: a line of JSON in says which of its methods is
// called and with what, a line out is what it returned: {"returned": ...} or {"failed": "..."}.
//
// usage: GRAFANA_TOKEN=... grafana-openapi-client http://[user:password@]HOST:PORT[/PREFIX]
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"github.com/grafana/grafana-openapi-client-go/client"
	"github.com/grafana/grafana-openapi-client-go/client/annotations"
	"github.com/grafana/grafana-openapi-client-go/models"
)

// A call has what its method takes; what is left out is not set.
type call struct {
	Method   string   `json:"method"`
	ID       int64    `json:"id"`
	Text     string   `json:"text"`
	Tags     []string `json:"tags"`
	Time     int64    `json:"time"`
	TimeEnd  int64    `json:"timeEnd"`
	What     string   `json:"what"`
	When     int64    `json:"when"`
	Data     string   `json:"data"`
	From     *int64   `json:"from"`
	To       *int64   `json:"to"`
	Limit    *int64   `json:"limit"`
	MatchAny *bool    `json:"matchAny"`
	Tag      *string  `json:"tag"`
}

func main() {
	grafana := connect(os.Args[1], os.Getenv("GRAFANA_TOKEN"))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var one call
		must(json.Unmarshal(lines.Bytes(), &one))
		returned, err := perform(grafana, one)
		if err != nil {
			must(answers.Encode(map[string]string{"failed": err.Error()}))
		} else {
			must(answers.Encode(map[string]any{"returned": returned}))
		}
	}
	must(lines.Err())
}

func connect(address, token string) *client.GrafanaHTTPAPI {
	base, err := url.Parse(address)
	must(err)
	return client.NewHTTPClientWithConfig(nil, &client.TransportConfig{
		Host:      base.Host,
		BasePath:  base.JoinPath("api").Path,
		Schemes:   []string{base.Scheme},
		APIKey:    token,
		BasicAuth: base.User,
	})
}

func perform(grafana *client.GrafanaHTTPAPI, one call) (any, error) {
	id := strconv.FormatInt(one.ID, 10)
	switch one.Method {
	case "create":
		answer, err := grafana.Annotations.PostAnnotation(
			&models.PostAnnotationsCmd{Text: &one.Text, Tags: one.Tags, Time: one.Time, TimeEnd: one.TimeEnd})
		return payload(answer, err)
	case "graphite":
		answer, err := grafana.Annotations.PostGraphiteAnnotation(
			&models.PostGraphiteAnnotationsCmd{What: one.What, Tags: one.Tags, When: one.When, Data: one.Data})
		return payload(answer, err)
	case "find":
		answer, err := grafana.Annotations.GetAnnotations(annotations.NewGetAnnotationsParams().
			WithFrom(one.From).WithTo(one.To).WithTags(one.Tags).WithMatchAny(one.MatchAny).WithLimit(one.Limit))
		return payload(answer, err)
	case "get":
		answer, err := grafana.Annotations.GetAnnotationByID(id)
		return payload(answer, err)
	case "put":
		answer, err := grafana.Annotations.UpdateAnnotation(
			id, &models.UpdateAnnotationsCmd{ID: one.ID, Text: one.Text, Tags: one.Tags, Time: one.Time, TimeEnd: one.TimeEnd})
		return payload(answer, err)
	case "patch":
		answer, err := grafana.Annotations.PatchAnnotation(
			id, &models.PatchAnnotationsCmd{Text: one.Text, Tags: one.Tags, Time: one.Time, TimeEnd: one.TimeEnd})
		return payload(answer, err)
	case "delete":
		answer, err := grafana.Annotations.DeleteAnnotationByID(id)
		return payload(answer, err)
	case "tags":
		answer, err := grafana.Annotations.GetAnnotationTags(annotations.NewGetAnnotationTagsParams().WithTag(one.Tag))
		return payload(answer, err)
	case "health":
		answer, err := grafana.Health.GetHealth()
		return payload(answer, err)
	case "organization":
		answer, err := grafana.Org.GetCurrentOrg()
		return payload(answer, err)
	}
	return nil, fmt.Errorf("no such method: %q", one.Method)
}

// payload is what the client made of the body of a 200.
func payload[T any, A interface{ GetPayload() T }](answer A, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return answer.GetPayload(), nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "grafana-openapi-client:", err)
		os.Exit(1)
	}
}
