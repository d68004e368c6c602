// Package samples holds the two MCP servers that stand behind the door of `genkan dev`, written with the official
// go-sdk: weather, which knows nothing of Entra and believes what Genkan signs, and profile, which is an API in Entra
// and calls others on people's behalf.
package samples

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// City is a place that the weather server knows.
type City struct {
	Name    string `json:"name"`
	Country string `json:"country"`
}

// Day is the weather of one day.
type Day struct {
	Day         int    `json:"day" jsonschema:"days from today, 0 is today"`
	Sky         string `json:"sky"`
	High        int    `json:"high" jsonschema:"degrees Celsius"`
	Low         int    `json:"low" jsonschema:"degrees Celsius"`
	RainPercent int    `json:"rain_percent"`
}

type forecastArguments struct {
	City string `json:"city" jsonschema:"a city that list_cities names"`
	Days int    `json:"days,omitempty" jsonschema:"how many days, 1 to 7; default 3"`
}

type forecast struct {
	City string `json:"city"`
	Days []Day  `json:"days"`
}

type alertArguments struct {
	City  string `json:"city" jsonschema:"a city that list_cities names"`
	Above int    `json:"above" jsonschema:"warn when the day gets hotter than this, degrees Celsius"`
}

type alert struct {
	City  string `json:"city"`
	Above int    `json:"above"`
	Days  []int  `json:"days" jsonschema:"the days of the coming week that would raise the alert"`
	By    string `json:"by,omitempty" jsonschema:"who set it, as the door says"`
}

// Weather is an MCP server with made-up weather: the same question always gets the same answer.
func Weather() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Title: "Weather", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{
		Name: "list_cities", Title: "List cities", Description: "Lists the cities that have a forecast.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true},
	}, listCities)
	mcp.AddTool(server, &mcp.Tool{
		Name: "get_forecast", Title: "Get a forecast", Description: "Tells the weather of a city for the coming days.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true},
	}, getForecast)
	mcp.AddTool(server, &mcp.Tool{
		Name: "set_alert", Title: "Set an alert", Description: "Sets a heat alert for a city. It changes something, so it needs more than reading does.",
	}, setAlert)
	return handler(server)
}

// handler serves one MCP server to every caller, in all protocol revisions that the go-sdk speaks.
func handler(server *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
}

func listCities(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, map[string][]City, error) {
	return nil, map[string][]City{"cities": cities()}, nil
}

func getForecast(_ context.Context, _ *mcp.CallToolRequest, in forecastArguments) (*mcp.CallToolResult, forecast, error) {
	if in.Days == 0 {
		in.Days = 3
	}
	if in.Days < 1 || in.Days > 7 {
		return nil, forecast{}, fmt.Errorf("days is %d: ask for 1 to 7", in.Days)
	}
	city, err := find(in.City)
	if err != nil {
		return nil, forecast{}, err
	}
	return nil, forecast{City: city.Name, Days: week(city)[:in.Days]}, nil
}

func setAlert(_ context.Context, req *mcp.CallToolRequest, in alertArguments) (*mcp.CallToolResult, alert, error) {
	city, err := find(in.City)
	if err != nil {
		return nil, alert{}, err
	}
	set := alert{City: city.Name, Above: in.Above, Days: []int{}}
	for _, day := range week(city) {
		if day.High > in.Above {
			set.Days = append(set.Days, day.Day)
		}
	}
	if req.Extra != nil && req.Extra.TokenInfo != nil { // only where a Door guards the server
		who, _ := req.Extra.TokenInfo.Extra["caller"].(caller)
		set.By = who.Username
	}
	return nil, set, nil
}

func cities() []City {
	return []City{
		{"Amsterdam", "Netherlands"}, {"Kyoto", "Japan"}, {"Lisbon", "Portugal"}, {"Nairobi", "Kenya"},
		{"Oslo", "Norway"}, {"Seattle", "United States"}, {"Taipei", "Taiwan"}, {"Wellington", "New Zealand"},
	}
}

func find(name string) (City, error) {
	all := cities()
	at := slices.IndexFunc(all, func(c City) bool { return strings.EqualFold(c.Name, strings.TrimSpace(name)) })
	if at < 0 {
		return City{}, errors.New("there is no forecast for that city: list_cities names those that have one")
	}
	return all[at], nil
}

// week makes seven days out of the city's name, so that they never change.
func week(city City) []Day {
	skies := []string{"clear", "partly cloudy", "cloudy", "light rain", "rain", "windy"}
	days := make([]Day, 7)
	for i := range days {
		h := fnv.New32a()
		fmt.Fprintf(h, "%s/%d", city.Name, i)
		n := int(h.Sum32() % 997)
		high := 12 + n%19
		days[i] = Day{Day: i, Sky: skies[n%len(skies)], High: high, Low: high - 4 - n%6, RainPercent: n % 101}
	}
	return days
}
