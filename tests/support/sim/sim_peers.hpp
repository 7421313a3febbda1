// SPDX-License-Identifier: MIT
/// \file tests/support/sim/sim_peers.hpp
/// Client and Server: processes for simulated hosts that record all their events.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/world.hpp>

namespace belay_test {

/// The events of one side of one connection, in order, with their times.
struct Notes {
    std::vector<std::string> observed;
    std::vector<belay::Duration> when;
    int live = 0;  ///< connections that exist
    int most_live = 0;
    bool echo = false;
    std::uint64_t sent = 0;                        ///< for the test's own use
    std::function<void(const std::string&)> hook;  ///< runs after each entry

    void add(belay::Instant now, std::string what) {
        when.push_back(now.time_since_epoch());
        observed.push_back(std::move(what));
        if (hook) hook(observed.back());
    }
    /// The time of the last `what`; -1ns if there was none.
    [[nodiscard]] belay::Duration last(std::string_view what) const {
        for (std::size_t i = observed.size(); i-- != 0;) {
            if (observed[i] == what) return when[i];
        }
        return belay::Duration{-1};
    }
    [[nodiscard]] std::size_t count(std::string_view what) const {
        std::size_t n = 0;
        for (const std::string& s : observed) n += s == what ? 1U : 0U;
        return n;
    }
    [[nodiscard]] std::vector<std::string> messages() const {
        std::vector<std::string> all;
        for (const std::string& s : observed) {
            if (s.starts_with("message ")) all.push_back(s.substr(8));
        }
        return all;
    }
};

/// An observer that records into Notes.
struct NotesObserver {
    Notes* notes;

    void on_state(auto& link, const belay::Transition& t) {
        std::string what{to_string(t.to.state)};
        if (t.from == belay::LinkState::connected || t.from == belay::LinkState::connecting) {
            what += t.to.state == belay::LinkState::connected
                        ? ""
                        : " " + std::string{to_string(t.to.failure.cause)};
        }
        notes->add(link.now(), std::move(what));
    }
    void on_message(auto& link, belay::Bytes m, belay::Lane) {
        if (notes->echo) static_cast<void>(link.send(m));
        notes->add(link.now(), "message " + std::string{belay::as_text(m)});
    }
    void on_writable(auto& link, belay::Lane) { notes->add(link.now(), "writable"); }
};

/// A transport whose connections are counted.
template <class T>
class Counting {
public:
    using message_type = typename T::message_type;

    class Connection : public belay::part::Wrapped<belay::part::ConnectionOf<T>, message_type> {
        using Base = belay::part::Wrapped<belay::part::ConnectionOf<T>, message_type>;

    public:
        Connection(Counting& owner, const belay::Link<message_type>& link)
            : Base{[&] { return owner.inner_.open(link.child()); }}, notes_{*owner.notes_} {
            if (++notes_.live > notes_.most_live) notes_.most_live = notes_.live;
        }
        ~Connection() { --notes_.live; }

    private:
        Notes& notes_;
    };

    Counting(T inner, Notes& notes) : inner_{std::move(inner)}, notes_{&notes} {}
    Connection open(const belay::Link<message_type>& link) { return Connection{*this, link}; }

private:
    T inner_;
    Notes* notes_;
};

/// How Client and Server behave.
struct PeerOptions {
    belay::HeartbeatOptions heartbeat{};
    std::size_t messages_max = 1024;
    belay::Duration base = std::chrono::milliseconds{100};
    belay::Duration cap = std::chrono::seconds{2};
};

inline auto retry_for_ever(const PeerOptions& o) {
    return belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{o.cap}, o.base}};
}

/// A process that keeps a connection to "server", port 9000.
struct Client {
    using Transport = belay::Heartbeat<Counting<belay::sim::Tcp>>;

    Client(belay::sim::Host& h, Notes& notes, PeerOptions o = {})
        : link{Transport{Counting{belay::sim::Tcp{h, "server", 9000}, notes}, o.heartbeat},
               retry_for_ever(o),
               {.messages_max = o.messages_max},
               NotesObserver{&notes}} {
        h.attach(link);
        link.start();
    }

    belay::Supervisor<Transport, decltype(retry_for_ever({})), NotesObserver> link;
};

/// A process that serves every connection to port 9000, each with Notes of its own.
struct Server {
    struct Peer {
        using Transport = belay::Heartbeat<Counting<belay::sim::Accepted>>;
        using Policy = belay::Policy<belay::MaxAttempts>;

        Peer(belay::sim::Host& h, belay::sim::Accepted a, Notes& n, PeerOptions o)
            : notes{n},
              link{Transport{Counting{std::move(a), n}, o.heartbeat},
                   Policy{belay::MaxAttempts{1}},
                   {.messages_max = o.messages_max},
                   NotesObserver{&n}} {
            h.attach(link);
            link.start();
        }
        Notes& notes;
        belay::Supervisor<Transport, Policy, NotesObserver> link;
    };

    /// `connection_log` outlives the process. It has the notes of all connections that there were.
    using ConnectionLog = std::vector<std::unique_ptr<Notes>>;

    Server(belay::sim::Host& h, ConnectionLog& to, PeerOptions o = {}) : connection_log{to} {
        h.listen(9000, [this, &h, o](belay::sim::Accepted a) {
            // The next arriving connection removes the dead ones.
            std::erase_if(peers, [](const auto& p) {
                return p->link.status().state == belay::LinkState::failed ||
                       p->link.status().state == belay::LinkState::cooldown;
            });
            connection_log.push_back(std::make_unique<Notes>());
            connection_log.back()->echo = echo;
            peers.push_back(std::make_unique<Peer>(h, std::move(a), *connection_log.back(), o));
        });
    }

    ConnectionLog& connection_log;
    bool echo = false;
    std::vector<std::unique_ptr<Peer>> peers;
};

}  // namespace belay_test
