// The seed's own simulator, as Licet must take it: Go's net/http, no Content-Type, UUID ids, one object a post,
// to port 80 of the host "web". It posts each customer once, then changes them one flag at a time, and prints
// each customer's last state as a line of JSON, so that the test can hold the answers to it.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand"
	"net/http"
	"os"
	"time"
)

type customer struct {
	AccountManager  string
	ID              string `json:"Id"`
	Name            string
	SalesEngineerID string `json:"SalesEngineerId"`
	SignedTos       bool
	SKU1            bool
	SKU2            bool
	SKU3            bool
}

func uuid() string {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func coin() bool { return mathrand.Intn(2) == 1 }

func (c *customer) change() {
	flags := []*bool{&c.SignedTos, &c.SKU1, &c.SKU2, &c.SKU3}
	one := flags[mathrand.Intn(len(flags))]
	*one = !*one
}

func post(url string, c *customer) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", response.Status, said)
	}
	return nil
}

func main() {
	url := flag.String("url", "http://web/salesforce/webhook", "where to post")
	size := flag.Int("customers", 10, "how many customers")
	changes := flag.Int("changes", 20, "how many changes after each customer's first post")
	interval := flag.Duration("interval", 50*time.Millisecond, "time between two changes")
	flag.Parse()
	customers := make([]*customer, *size)
	deliver := func(c *customer) {
		if err := post(*url, c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	for i := range customers {
		customers[i] = &customer{"Ada Byron", uuid(), fmt.Sprintf("seed-%d.example", i), uuid(), coin(), coin(), coin(), coin()}
		deliver(customers[i])
	}
	for i := 0; i < *changes; i++ {
		time.Sleep(*interval)
		one := customers[mathrand.Intn(len(customers))]
		one.change()
		deliver(one)
	}
	out := json.NewEncoder(os.Stdout)
	for _, c := range customers {
		if err := out.Encode(c); err != nil {
			panic(err)
		}
	}
}
