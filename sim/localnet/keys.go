package localnet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
	"bettensor/sim/mockchain"
)

// makeKeys makes the hotkeys, or loads those that somebody has put there before,
// and seats them: validators first. A directory's second run gets new ones: the
// chain is another one, and what a node kept for an old key is of no use there.
// save writes what was made.
func (n *Network) makeKeys(again bool) (out []mockchain.Neuron, save func() error, err error) {
	for i := range max(n.o.Validators, 1) {
		n.names = append(n.names, fmt.Sprint("v", i))
	}
	for i := range max(n.o.Miners, leastMiners) {
		n.names = append(n.names, fmt.Sprint("m", i))
	}
	var cold chain.Coldkey
	made := map[string]*wallet.Key{}
	save = func() error {
		for _, name := range n.names {
			if key := made[name]; key != nil {
				at := wallet.Location{Path: n.Wallets(), Name: WalletName, Hotkey: name}
				if err := key.Save(at, wallet.Password{}, again); err != nil {
					return fmt.Errorf("hotkey %s: %w", name, err)
				}
				key.Wipe()
			}
		}
		return nil
	}
	for _, name := range n.names {
		at := wallet.Location{Path: n.Wallets(), Name: WalletName, Hotkey: name}
		key, err := wallet.Load(at, wallet.Passwords{})
		if again || errors.Is(err, os.ErrNotExist) {
			key, err = wallet.Generate(12, rand.Reader)
			made[name] = key
		}
		if err != nil {
			return nil, nil, fmt.Errorf("hotkey %s: %w", name, err)
		}
		n.keys[name] = key.Hotkey()
		if cold == "" {
			if cold, err = n.coldkey(at); err != nil {
				return nil, nil, err
			}
		}
		seat := mockchain.Neuron{Hotkey: key.Hotkey(), Coldkey: cold}
		if name[0] == 'v' {
			seat.Stake = stake
		}
		out = append(out, seat)
		if made[name] == nil {
			key.Wipe()
		}
	}
	return out, save, nil
}

// coldkey is the wallet's. Only its public half is ever kept: nobody here needs
// to move funds.
func (n *Network) coldkey(at wallet.Location) (chain.Coldkey, error) {
	if cold, err := wallet.Coldkey(at); err == nil {
		return cold, nil
	}
	key, err := wallet.Generate(12, rand.Reader)
	if err != nil {
		return "", err
	}
	defer key.Wipe()
	return chain.Coldkey(key.Hotkey()), wallet.SaveColdkey(at, chain.Coldkey(key.Hotkey()))
}

// Wallets is the directory of all keys.
func (n *Network) Wallets() string { return filepath.Join(n.o.Dir, "wallets") }

// Hotkey of a name such as v0 or m3; "" where there is none.
func (n *Network) Hotkey(name string) chain.Hotkey { return n.keys[name] }
