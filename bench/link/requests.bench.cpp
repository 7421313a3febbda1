// SPDX-License-Identifier: MIT
// What a question and its answer cost, beside the same messages over a Supervisor: one is sent, and
// one is received.
#include <belay/link/requests.hpp>

#include <benchmark/benchmark.h>

#include <belay/core/clocks.hpp>
#include <belay/drive/loop.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr int batch = 16;  // questions per turn

struct Text {
    std::uint64_t id = 0;
    std::uint64_t value = 0;
};
struct TextId {
    static void put_id(Text& text, std::uint64_t id) { text.id = id; }
    static std::optional<std::uint64_t> id_of(const Text& text) { return text.id; }
};

/// A server that answers each message.
struct Echo {
    using message_type = Text;
    struct Connection {
        Link<Text> link;
        SendResult send(const Text& text) noexcept {
            static_cast<void>(link.received(Text{text}));
            return SendResult::sent;
        }
    };
    Connection open(const Link<Text>& link) {
        link.opened();
        return {link};
    }
};

struct Counts {
    std::uint64_t* answers;
    void on_message(const Text& text) { *answers += text.value; }
};

template <class M>
void connect(Loop<>& loop, M& machine) {
    loop.attach(machine);
    machine.start();
    while (machine.deadline() == always) machine.advance(loop.now());
}

void messages(benchmark::State& state) {
    Loop<> loop;
    std::uint64_t answers = 0;
    Supervisor link{Echo{}, MaxAttempts{3}, Counts{&answers}};
    connect(loop, link);
    for ([[maybe_unused]] auto _ : state) {
        for (int i = 0; i < batch; ++i) static_cast<void>(link.send(Text{0, 1}));
        link.advance(loop.now());
    }
    if (answers != static_cast<std::uint64_t>(state.iterations()) * batch) {
        state.SkipWithError("answers are missing");
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

template <class Codec>
void questions(benchmark::State& state) {
    Loop<> loop;
    std::uint64_t answers = 0;
    Requests requests{Echo{}, MaxAttempts{3}, Codec{}};
    connect(loop, requests);
    for ([[maybe_unused]] auto _ : state) {
        for (int i = 0; i < batch; ++i) {
            const auto asked = requests.ask(Text{0, 1}, 2s, [&](const Result<Text, Failure>& a) {
                if (a) answers += a->value;
            });
            benchmark::DoNotOptimize(asked);
        }
        requests.advance(loop.now());
    }
    if (answers != static_cast<std::uint64_t>(state.iterations()) * batch) {
        state.SkipWithError("answers are missing");
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

BENCHMARK(messages)->Name("link/requests/messages_alone");
BENCHMARK(questions<part::InOrder>)->Name("link/requests/in_order");
BENCHMARK(questions<TextId>)->Name("link/requests/by_id");

}  // namespace
