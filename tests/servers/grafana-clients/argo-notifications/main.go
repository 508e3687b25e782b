// Sends one notification to the service `grafana` of Argo CD's notifications engine, as it is published. Reads what a user of
// Argo CD writes, as JSON: {"options": the text of `service.grafana`, "message": the template, "recipient": of the annotation
// `notifications.argoproj.io/subscribe...grafana`, "app": the application}. Ends with 1, and says why, when the engine failed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/template"

	"github.com/argoproj/notifications-engine/pkg/services"
)

type request struct {
	Options   string         `json:"options"`
	Message   string         `json:"message"`
	Recipient string         `json:"recipient"`
	App       map[string]any `json:"app"`
}

func main() {
	var one request
	must(json.NewDecoder(os.Stdin).Decode(&one))
	service, err := services.NewService("grafana", []byte(one.Options))
	must(err)
	written := services.Notification{Message: one.Message}
	templater, err := written.GetTemplater("grafana", template.FuncMap{})
	must(err)
	var sent services.Notification
	must(templater(&sent, map[string]any{"app": one.App}))
	must(service.Send(sent, services.Destination{Service: "grafana", Recipient: one.Recipient}))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "argo-notifications:", err)
		os.Exit(1)
	}
}
