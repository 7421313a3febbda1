// SPDX-License-Identifier: MIT
/// \file tests/support/session/outbox_rig.hpp
/// OutboxRig: an outbox over memory or a journal, with a scripted server and scripted time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <belay/session/outbox.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/shorthand.hpp"

namespace belay_test {

/// The server of an outbox: what it received, and how it behaves.
struct OutboxServer {
    std::vector<std::string> received;  ///< on all connections
    belay::Link<belay::Bytes> link;     ///< of the newest attempt
    belay::SendResult answer = belay::SendResult::sent;
    std::string refuses;  ///< the message that the transport can never carry
    int busy_after = -1;  ///< the number of messages until it is busy
    int dials = 0;
    int closes = 0;

    std::vector<std::string> take() { return std::exchange(received, {}); }
};

struct OutboxTransport {
    using message_type = belay::Bytes;
    struct Connection {
        OutboxServer& server;

        belay::SendResult send(belay::BytesView message) noexcept {
            const SpareMemory spare;
            std::string text{belay::as_text(message)};
            if (text == server.refuses) return belay::SendResult::rejected;
            if (server.busy_after == 0) return belay::SendResult::busy;
            if (server.busy_after > 0) --server.busy_after;
            if (server.answer == belay::SendResult::sent) {
                server.received.push_back(std::move(text));
            }
            return server.answer;
        }
        void close(const belay::Failure&) noexcept { ++server.closes; }
    };
    Connection open(const belay::Link<belay::Bytes>& link) {
        server->link = link;
        ++server->dials;
        return Connection{*server};
    }
    OutboxServer* server;
};

/// Records the reports of an outbox, and runs a function in each hook.
struct OutboxNotes {
    std::vector<std::string> observed;
    std::function<void(const std::string&)> hook;

    void on_state(const belay::Transition& t) { add({to_string(t.to.state)}); }
    void on_message(const belay::Bytes& m) { add({"message ", belay::as_text(m)}); }
    void on_sent(std::uint64_t number, const belay::Bytes& m) {
        add({"sent ", belay::as_text(m)}, number);
    }
    void on_unsent(std::uint64_t number, const belay::Bytes& m) {
        add({"unsent ", belay::as_text(m)}, number);
    }
    void add(std::initializer_list<std::string_view> words, std::uint64_t number = 0) {
        const SpareMemory spare;
        std::string what;
        for (const std::string_view word : words) {
            if (number != 0 && !what.empty()) what += std::to_string(number) + ' ';
            what += word;
        }
        observed.push_back(what);
        if (hook) hook(what);
    }
    std::vector<std::string> take() { return std::exchange(observed, {}); }
};

/// A policy with waits of 1, 2, 4, 8, 8 s.
inline auto outbox_policy() {
    using namespace std::chrono_literals;
    return belay::Policy{belay::Backoff{belay::NoJitter{}, belay::Cap{8s}, 1s}};
}

using OutboxJournal = belay::Journal<belay::sim::Disk>;
using OutboxMemory = belay::Deque<belay::Bytes>;

template <class Storage, class Overflow = belay::Reject>
struct OutboxRig {
    using Queue = belay::Queue<Storage, Overflow, belay::QueueCounters>;
    using Box = belay::Outbox<OutboxTransport, decltype(outbox_policy()), Queue,
                              std::reference_wrapper<OutboxNotes>>;

    belay::sim::Disk disk;
    OutboxServer server;
    OutboxNotes notes;
    belay::OutboxOptions options;
    std::size_t limit;
    belay::Duration now{};
    std::unique_ptr<Box> box{};  ///< on the heap, where sanitizers detect a use after its end

    explicit OutboxRig(belay::OutboxOptions o, std::size_t limit_of_queue = 100)
        : options{o}, limit{limit_of_queue} {
        open();
    }
    void open(belay::Flush flush = belay::Flush::group) {
        box = std::make_unique<Box>(OutboxTransport{&server}, outbox_policy(),
                                    Queue{storage(flush), Overflow{}, {.limit = limit}, {}},
                                    options, std::ref(notes));
        run();
    }
    Storage storage([[maybe_unused]] belay::Flush flush) {
        if constexpr (std::derived_from<Storage, OutboxJournal>) {
            auto opened = OutboxJournal::open(disk, "data/outbox",
                                              {.flush = flush,
                                               .segment_bytes = 4096,
                                               .record_bytes_max = 512,
                                               .seed = belay::Seed{7}});
            REQUIRE(opened.has_value());
            return Storage{std::move(*opened)};
        } else {
            return Storage{1000};
        }
    }
    /// The process dies, and the power fails, and it starts again.
    void crash() {
        disk.crash(belay::Random{belay::Seed{3}});
        box.reset();
        notes.take();
        server.take();
        open();
    }

    /// Advances until no turn is due, or the outbox was destroyed.
    void run(belay::Duration to) {
        now = to;
        for (int i = 0; i < 1000 && box && box->deadline() <= at(now); ++i) box->advance(at(now));
        REQUIRE((!box || box->deadline() > at(now)));
    }
    void run() { run(now); }
    void push(std::string_view text) { REQUIRE_FALSE(box->push(text)); }
    void connect() {
        using namespace std::chrono_literals;
        box->start();
        run(now + 10s);
        server.link.opened();
        run();
        REQUIRE(box->status().link.state == belay::LinkState::connected);
        notes.take();
    }
    /// Starts, and opens one attempt.
    void connect_once() {
        box->start();
        run(now + std::chrono::seconds{10});
        server.link.opened();
        run();
    }
    /// Cuts the connection.
    void cut() { server.link.closed(lost), run(); }
    void answer(std::string_view text) {
        static_cast<void>(server.link.received(belay::to_bytes(belay::as_bytes(text))));
        run();
    }
};

inline constexpr belay::OutboxOptions at_least_once{.promise = belay::OutboxOptions::at_least_once};
inline constexpr belay::OutboxOptions at_most_once{.promise = belay::OutboxOptions::at_most_once};

}  // namespace belay_test
