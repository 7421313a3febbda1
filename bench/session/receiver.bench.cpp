// SPDX-License-Identifier: MIT
// What one message costs a receiver, by how many connections are idle beside the one that speaks.
#include <belay/session/receiver.hpp>

#include <benchmark/benchmark.h>

#include <optional>
#include <vector>

using namespace belay;
using namespace belay::session_format;

namespace {

/// The other ends of all connections: what they say is handed over by their links.
using Lines = std::vector<Link<Bytes>>;

struct Connection {
    [[nodiscard]] SendResult send(const Bytes&) noexcept { return SendResult::sent; }
};
struct Transport {
    using message_type = Bytes;
    Connection open(const Link<Bytes>& link) {
        lines->push_back(link);
        return {};
    }
    Lines* lines;
};

/// Forgets what it is given, but for the progress of one sender.
struct Ledger {
    Id store{std::byte{9}};
    Progress last{};
    Id sender{};
    [[nodiscard]] const Id& store_id() const noexcept { return store; }
    [[nodiscard]] std::optional<Progress> progress(const Id& s) const {
        return s == sender ? std::optional{last} : std::nullopt;
    }
    std::error_code adopt(const Id& s, const Progress& p) {
        sender = s;
        last = p;
        return {};
    }
    std::error_code apply(const Id&, const Progress& p, BytesView) {
        last = p;
        return {};
    }
    std::error_code commit() { return {}; }
};

void busy_beside_idle(benchmark::State& state) {
    const auto idle = static_cast<std::size_t>(state.range(0));
    Receiver<Transport, Ledger> receiver{Ledger{}, {.connections_max = idle + 1}};
    receiver.attach(Waker{});
    const Instant now{std::chrono::seconds{1}};
    const auto run = [&] {
        while (receiver.deadline() <= now) receiver.advance(now);
    };
    run();
    Lines lines;
    receiver.accept(Transport{&lines});
    Bytes greeting;
    append_hello(greeting, {.attach = 1,
                            .payload_bytes_max = 1U << 20U,
                            .sender = Id{std::byte{1}},
                            .journal = Id{std::byte{2}}});
    append_frame(greeting, {.type = FrameType::start, .number = 1});
    static_cast<void>(lines[0].received(std::move(greeting)));
    run();
    for (std::size_t i = 0; i < idle; ++i) receiver.accept(Transport{&lines});
    run();
    const Bytes body(64);
    std::uint64_t number = 0;
    for (auto _ : state) {
        Bytes message;
        append_frame(message, {.type = FrameType::data, .number = ++number, .payload = body});
        static_cast<void>(lines[0].received(std::move(message)));
        run();
    }
    if (receiver.ledger().last.applied != number) state.SkipWithError("not delivered");
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(busy_beside_idle)
    ->Name("session/receiver/message_beside_idle/belay")
    ->ArgName("idle_connections")
    ->Arg(0)
    ->Arg(100)
    ->Arg(10'000);

}  // namespace
