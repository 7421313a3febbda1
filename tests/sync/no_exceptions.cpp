// SPDX-License-Identifier: MIT
// Goal: sync works without exceptions and RTTI. Method: a program without framework.
#include <belay/call/policies.hpp>
#include <belay/sync.hpp>
#include <belay/sync/event_stream.hpp>

#include <cstdio>

namespace {

struct NoSleep {
    belay::Instant time{};
    belay::Random random{belay::Seed{1}};
    [[nodiscard]] belay::Instant now() const noexcept { return time; }
    belay::Random& bits() noexcept { return random; }
    template <class Stop>
    void sleep_until(belay::Instant until, const Stop&) noexcept {
        time = until;
    }
};

bool holds(bool right, const char* what) {
    if (!right) std::printf("failed: %s\n", what);
    return right;
}

struct BridgedBoard {
    using content_type = std::string;
    std::string content{"here"};
    std::vector<std::string> sessions() { return {"s"}; }
    belay::Result<std::optional<belay::Scene<std::string>>> read(std::string_view) {
        return std::optional{belay::Scene<std::string>{content, {.counter = 2}}};
    }
    std::error_code apply(std::string_view, belay::Scene<std::string> scene, belay::Origin) {
        content = std::move(scene.content);
        return {};
    }
};
struct BridgedServer {
    using content_type = std::string;
    std::string content{};
    void fetch(
        std::string_view,
        belay::Completion<belay::Result<std::optional<belay::Scene<std::string>>, belay::Failure>>
            done) {
        done(std::optional<belay::Scene<std::string>>{});
    }
    void push(std::string_view, belay::Scene<std::string> scene,
              belay::Completion<belay::Failure> done) {
        content = std::move(scene.content);
        done(belay::Failure{});
    }
    void close(belay::Completion<belay::Failure> done) { done(belay::Failure{}); }
};

bool bridge_works() {
    using namespace belay;
    BridgedBoard board;
    BridgedServer server;
    Bridge bridge{std::ref(board), std::ref(server), policies::bridge()};
    bridge.attach(Waker{});
    bridge.start();
    bridge.changed("s");
    for (int s = 0; s < 3; ++s) bridge.advance(after(Instant{}, std::chrono::seconds{s}));
    bridge.stop();
    bridge.advance(after(Instant{}, std::chrono::seconds{4}));
    return bridge.ended() && server.content == "here";
}

}  // namespace

int main() {
    using namespace belay;
    Random bits{Seed{1}};
    HybridClock clock{make_id(bits)};
    MemoryStore<std::string> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    const std::vector<Operation<std::string>> batch{
        {make_id(bits), clock.stamp(), AddElement{"a", std::string{"1"}}},
        {make_id(bits), clock.stamp(), UpdateElement{"a", std::string{"2"}}},
        {make_id(bits), clock.stamp(), UpdateElement{"b", std::string{"2"}}}};
    NoSleep sleeper;
    const SyncResult result = processor.process_with_retry("s", batch, policies::sync(), sleeper);
    bool right = holds(result.synced_count == 2 && result.conflict_count == 1, "counts");
    right = holds(store.read({"s", "a"}).value() == "2", "value") && right;
    EventStream events;
    std::string_view bytes = "id: 1\ndata: a\n\n";
    const auto event = events.next(bytes);
    right = holds(event && event->data == "a" && events.last_event_id() == "1", "event") && right;
    right = holds(bridge_works(), "bridge") && right;
    return right ? 0 : 1;
}
