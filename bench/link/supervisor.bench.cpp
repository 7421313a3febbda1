// SPDX-License-Identifier: MIT
// What supervision costs: a message, and a whole outage, bare and decorated, beside a loop written
// by hand.
#include <belay/link/supervisor.hpp>

#include <algorithm>
#include <deque>
#include <optional>

#include <benchmark/benchmark.h>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr int batch = 16;  // messages per turn

struct Socket {
    using message_type = std::uint64_t;
    struct Connection {
        SendResult send(const std::uint64_t&) noexcept { return SendResult::sent; }
        void ping() noexcept {}
    };
    Link<std::uint64_t>* last;
    Connection open(const Link<std::uint64_t>& link) {
        *last = link;
        return {};
    }
};

struct Greeted {
    Verdict begin(const auto&) { return Verdict::passed(); }
    Verdict judge(const std::uint64_t&, const auto&) { return Verdict::passed(); }
};

struct Sum {
    std::uint64_t* sum;
    void on_message(std::uint64_t m) { *sum += m; }
};

auto policy() {
    return Policy{Backoff{FullJitter{}, Cap{30s}, 1s, Seed{1}}, MaxAttempts{1'000'000'000}};
}

/// The same behaviour as a user writes it: a state, a timer, an epoch, a queue of events, a
/// backoff.
class ByHand {
public:
    enum class State { connecting, connected, waiting };
    enum class What { opened, closed, message };

    explicit ByHand(std::uint64_t* sum) : sum_{sum} {}

    void report(What what, std::uint64_t message, unsigned epoch) {
        if (epoch == epoch_) events_.push_back({what, epoch, message});
    }
    void advance(Instant now) {
        while (!events_.empty()) {
            const Happened e = events_.front();
            events_.pop_front();
            if (e.epoch != epoch_) continue;
            if (e.what == What::message) {
                *sum_ += e.message;
            } else if (e.what == What::opened) {
                state_ = State::connected;
                since_ = now;
            } else {
                if (state_ == State::connected && now - since_ >= 10s) backoff_.reset();
                connection_.reset();
                ++epoch_;
                state_ = State::waiting;
                due_ = after(now, backoff_.next());
            }
        }
        if (state_ == State::waiting && now >= due_) dial(now);
        if (state_ == State::connecting && now >= due_) report(What::closed, 0, epoch_);
    }
    void dial(Instant now) {
        connection_.emplace();
        state_ = State::connecting;
        due_ = after(now, 30s);
    }
    [[nodiscard]] Instant deadline() const { return events_.empty() ? due_ : always; }
    [[nodiscard]] unsigned epoch() const { return epoch_; }

private:
    struct Happened {
        What what;
        unsigned epoch;
        std::uint64_t message;
    };
    std::uint64_t* sum_;
    std::deque<Happened> events_;
    std::optional<Socket::Connection> connection_;
    State state_ = State::waiting;
    unsigned epoch_ = 1;
    Instant due_{}, since_{};
    Backoff<FullJitter, Cap> backoff_{FullJitter{}, Cap{30s}, 1s, Seed{1}};
};

template <class Machine>
void receive_in_batches(benchmark::State& state, Machine& link, const Link<std::uint64_t>& handle,
                        std::uint64_t& sum) {
    Instant now{};
    link.start();
    link.advance(now);
    handle.opened();
    link.advance(now);
    for (auto _ : state) {
        for (int i = 0; i < batch; ++i) {
            std::uint64_t m = 1;
            static_cast<void>(handle.received(std::move(m)));
        }
        now += 1us;
        link.advance(now);
        benchmark::ClobberMemory();
    }
    if (sum != static_cast<std::uint64_t>(state.iterations()) * batch)
        state.SkipWithError("messages were lost");
    state.SetItemsProcessed(state.iterations() * batch);
}

void receive_bare(benchmark::State& state) {
    Link<std::uint64_t> handle;
    std::uint64_t sum = 0;
    Supervisor link{Socket{&handle}, policy(), {}, Sum{&sum}};
    receive_in_batches(state, link, handle, sum);
}
BENCHMARK(receive_bare)->Name("link/supervisor/receive/belay");

/// The same messages through the queue alone: what no machine over it can be faster than.
void receive_ring(benchmark::State& state) {
    detail::EventRing<part::Event<std::uint64_t>> ring;
    std::uint64_t sum = 0;
    for (auto _ : state) {
        for (int i = 0; i < batch; ++i) {
            part::Event<std::uint64_t> event;
            event.kind = part::EventKind::received;
            event.epoch = 1;
            event.message.emplace(1U);
            ring.push(std::move(event));
        }
        while (!ring.empty()) {
            const part::Event<std::uint64_t> event = ring.pop();
            sum += *event.message;
        }
        benchmark::ClobberMemory();
    }
    benchmark::DoNotOptimize(sum);
    state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(receive_ring)->Name("link/supervisor/receive/ring");

/// What an old connection still says.
void receive_stale(benchmark::State& state) {
    Link<std::uint64_t> handle;
    Supervisor link{Socket{&handle}, policy()};
    Instant now{};
    link.start();
    link.advance(now);
    const Link<std::uint64_t> old = handle;
    old.closed();
    link.advance(now);
    for (auto _ : state) {
        std::uint64_t m = 1;
        benchmark::DoNotOptimize(old.received(std::move(m)));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(receive_stale)->Name("link/supervisor/stale/belay");

void receive_decorated(benchmark::State& state) {
    Link<std::uint64_t> handle;
    std::uint64_t sum = 0;
    Supervisor link{Validated{Heartbeat{Socket{&handle}, {}}, Greeted{}}, policy(), {}, Sum{&sum}};
    receive_in_batches(state, link, handle, sum);
}
BENCHMARK(receive_decorated)->Name("link/supervisor/receive_decorated/belay");

void receive_by_hand(benchmark::State& state) {
    std::uint64_t sum = 0;
    ByHand link{&sum};
    Instant now{};
    link.dial(now);
    link.report(ByHand::What::opened, 0, link.epoch());
    link.advance(now);
    for (auto _ : state) {
        for (int i = 0; i < batch; ++i) link.report(ByHand::What::message, 1, link.epoch());
        now += 1us;
        link.advance(now);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(receive_by_hand)->Name("link/supervisor/receive/by_hand");
BENCHMARK(receive_by_hand)->Name("link/supervisor/receive_decorated/by_hand");

template <class Machine>
void outages(benchmark::State& state, Machine& link, const Link<std::uint64_t>& handle) {
    Instant now{};
    link.start();
    link.advance(now);
    for (auto _ : state) {
        handle.opened();
        link.advance(now);
        handle.closed();
        link.advance(now);
        now = std::max(now, link.deadline());
        link.advance(now);
        if (link.status().state != LinkState::connecting) state.SkipWithError("did not dial");
    }
    state.SetItemsProcessed(state.iterations());
}

void cycle_bare(benchmark::State& state) {
    Link<std::uint64_t> handle;
    Supervisor link{Socket{&handle}, policy()};
    outages(state, link, handle);
}
BENCHMARK(cycle_bare)->Name("link/supervisor/cycle/belay");

void cycle_decorated(benchmark::State& state) {
    Link<std::uint64_t> handle;
    Supervisor link{Validated{Heartbeat{Socket{&handle}, {}}, Greeted{}}, policy()};
    outages(state, link, handle);
}
BENCHMARK(cycle_decorated)->Name("link/supervisor/cycle_decorated/belay");

void cycle_by_hand(benchmark::State& state) {
    std::uint64_t sum = 0;
    ByHand link{&sum};
    Instant now{};
    link.dial(now);
    for (auto _ : state) {
        link.report(ByHand::What::opened, 0, link.epoch());
        link.advance(now);
        link.report(ByHand::What::closed, 0, link.epoch());
        link.advance(now);
        now = std::max(now, link.deadline());
        link.advance(now);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(cycle_by_hand)->Name("link/supervisor/cycle/by_hand");
BENCHMARK(cycle_by_hand)->Name("link/supervisor/cycle_decorated/by_hand");

}  // namespace
