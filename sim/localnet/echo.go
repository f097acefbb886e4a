package localnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Echo sends frames of a size over connections to a server on loopback that sends
// each back and does nothing else: what sockets alone cost, for comparison. Window
// bounds the frames of one connection under way. It returns how long all frames
// took; those of each connection are as many, rounded up.
func Echo(ctx context.Context, connections, frames, size, window int) (time.Duration, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("echo: %w", err)
	}
	up := websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer ws.Close()
		for {
			kind, text, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, text) != nil {
				return
			}
		}
	})}
	go server.Serve(lis) // ends with Close
	defer server.Close()

	var peers []*websocket.Conn
	defer func() {
		for _, ws := range peers {
			ws.Close()
		}
	}()
	d := websocket.Dialer{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, HandshakeTimeout: 10 * time.Second}
	for range connections {
		ws, _, err := d.DialContext(ctx, "ws://"+lis.Addr().String(), nil)
		if err != nil {
			return 0, fmt.Errorf("echo: %w", err)
		}
		peers = append(peers, ws)
	}
	frame := make([]byte, size)
	for i := range frame {
		frame[i] = 'a'
	}
	each := (frames + connections - 1) / connections
	errs := make([]error, connections)
	began := time.Now()
	var all sync.WaitGroup
	for i, ws := range peers {
		all.Go(func() { errs[i] = echoed(ws, frame, each, window) })
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

// echoed sends frames over one connection and reads them back.
func echoed(ws *websocket.Conn, frame []byte, n, window int) error {
	room, failed := make(chan struct{}, window), make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for range n {
			select {
			case room <- struct{}{}:
			case <-stop:
				failed <- nil
				return
			}
			if err := ws.WriteMessage(websocket.TextMessage, frame); err != nil {
				ws.Close() // which ends the reader
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	var err error
	for range n {
		if _, _, err = ws.ReadMessage(); err != nil {
			break
		}
		<-room
	}
	close(stop)
	if err != nil {
		ws.Close() // which ends the sender
	}
	return errors.Join(err, <-failed)
}
