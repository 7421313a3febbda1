// SPDX-License-Identifier: MIT
// What an outbox costs: a message that is accepted and sent, beside a deque and a Supervisor that
// are joined by hand.
#include <belay/session/outbox.hpp>

#include <deque>

#include <benchmark/benchmark.h>

#include <belay/policy/rules.hpp>
#include <belay/queue/storages.hpp>

using namespace belay;

namespace {

constexpr int batch = 16;  // messages per turn

struct Socket {
    using message_type = Bytes;
    struct Connection {
        std::uint64_t* bytes;
        SendResult send(BytesView message) noexcept {
            *bytes += message.size();
            return SendResult::sent;
        }
    };
    Link<Bytes>* last;
    std::uint64_t* bytes;
    Connection open(const Link<Bytes>& link) {
        *last = link;
        return {bytes};
    }
};

template <class M>
void run(M& machine) {
    while (machine.deadline() <= Instant{}) machine.advance(Instant{});
}

/// The same behaviour as a user writes it: at most once, in memory.
class JoinedByHand {
public:
    explicit JoinedByHand(Socket socket) : link_{socket, MaxAttempts{3}, {}, Tap{this}} {}

    bool push(Bytes message) {
        if (waiting_.size() == 1000) return false;
        waiting_.push_back(std::move(message));
        return true;
    }
    void start() { link_.start(); }
    [[nodiscard]] Instant deadline() const {
        return can_send_ && !waiting_.empty() ? always : link_.deadline();
    }
    void advance(Instant now) {
        link_.advance(now);
        while (can_send_ && !waiting_.empty()) {
            const SendResult result = link_.send(waiting_.front());
            can_send_ = result == SendResult::sent;
            if (can_send_) waiting_.pop_front();
        }
    }

private:
    struct Tap {
        JoinedByHand* me;
        void on_state(const Transition& t) { me->can_send_ = t.to.state == LinkState::connected; }
        void on_writable(Lane) { me->can_send_ = true; }
    };
    std::deque<Bytes> waiting_{};
    bool can_send_ = false;
    Supervisor<Socket, MaxAttempts, Tap> link_;
};

template <class M, class Push, class Done>
void measure(benchmark::State& state, M& machine, Link<Bytes>& link, Push push, Done done) {
    machine.start();
    run(machine);
    link.opened();
    run(machine);
    for ([[maybe_unused]] auto _ : state) {
        for (int i = 0; i < batch; ++i) push(Bytes(100));
        run(machine);
        done();
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

void by_hand(benchmark::State& state) {
    Link<Bytes> link;
    std::uint64_t bytes = 0;
    JoinedByHand joined{Socket{&link, &bytes}};
    measure(
        state, joined, link,
        [&](Bytes&& message) { benchmark::DoNotOptimize(joined.push(std::move(message))); }, [] {});
}

void outbox(benchmark::State& state, OutboxOptions::Promise promise) {
    Link<Bytes> link;
    std::uint64_t bytes = 0;
    Outbox box{Socket{&link, &bytes}, MaxAttempts{3}, Queue{Deque<Bytes>{1000}},
               OutboxOptions{.promise = promise}};
    measure(
        state, box, link,
        [&](Bytes&& message) { benchmark::DoNotOptimize(box.push(std::move(message))); },
        [&] {
            if (promise == OutboxOptions::at_most_once) return;
            for (int i = 0; i < batch; ++i) benchmark::DoNotOptimize(box.acknowledge());
        });
}
void at_most_once(benchmark::State& state) { outbox(state, OutboxOptions::at_most_once); }
void at_least_once(benchmark::State& state) { outbox(state, OutboxOptions::at_least_once); }

BENCHMARK(by_hand)->Name("session/outbox/accept_and_send/by_hand");
BENCHMARK(at_most_once)->Name("session/outbox/accept_and_send/belay");
BENCHMARK(at_least_once)->Name("session/outbox/accept_send_acknowledge/belay");

}  // namespace
