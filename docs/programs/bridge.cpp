// SPDX-License-Identifier: MIT
#include <cstdio>
#include <map>
#include <string>

#include <belay/call/policies.hpp>
#include <belay/drive/loop.hpp>
#include <belay/sync.hpp>
using namespace belay;
using namespace std::chrono_literals;
using Drawing = Scene<std::string>;  // content, and the stamp of its last change
using Drawings = std::map<std::string, Drawing, std::less<>>;

// excerpt: begin
/// The local side: what this program shows and edits.
struct Board {
    using content_type = std::string;
    Drawings scenes{};
    HybridClock<> clock{Id{std::byte{1}}};

    std::vector<std::string> sessions() {
        std::vector<std::string> names;
        for (const auto& [name, scene] : scenes) names.push_back(name);
        return names;
    }
    Result<std::optional<Drawing>> read(std::string_view session) {
        const auto at = scenes.find(session);
        return at == scenes.end() ? std::nullopt : std::optional{at->second};
    }
    std::error_code apply(std::string_view session, Drawing scene, Origin) {
        clock.saw(scene.stamp);  // so that the next edit is later
        std::printf("pulled: %s\n", scene.content.c_str());
        scenes.insert_or_assign(std::string{session}, std::move(scene));
        return {};
    }
};
// excerpt: end

/// The remote side: a server. This one is in the same program, and does not listen at first.
struct Server {
    using content_type = std::string;
    Drawings scenes{};
    int rejections = 5;

    void fetch(std::string_view session, Completion<Result<std::optional<Scene<std::string>>, Failure>> done) {
        if (rejections-- > 0) return done(Failure{Cause::refused});
        const auto at = scenes.find(session);
        done(at == scenes.end() ? std::nullopt : std::optional{at->second});
    }
    void push(std::string_view session, Drawing scene, Completion<Failure> done) {
        scenes.insert_or_assign(std::string{session}, std::move(scene));
        done(Failure{});  // without a cause: confirmed
    }
};

struct App {
    void on_state(const Connectivity& view) {
        using Kind = Connectivity::Kind;
        if (view.kind == Kind::reconnecting) return;  // each attempt that fails after the first one
        std::printf(view.kind == Kind::connected ? "connected\n" : "disconnected\n");
    }
    void on_pushed(std::string_view session, const Stamp&) { std::printf("pushed: %s\n", std::string{session}.c_str()); }
};

int main() {
    Board board;
    Server server;
    // excerpt: begin
    Bridge bridge{std::ref(board), std::ref(server), policies::bridge(), BridgeOptions{.pull = {.interval = 100ms}}, App{}};
    Loop loop;
    loop.attach(bridge);
    bridge.start();

    board.scenes["plan"] = {"a circle", board.clock.stamp()};  // an edit
    bridge.changed("plan");
    // excerpt: end
    loop.run_until([&] { return server.scenes.contains("plan"); });

    HybridClock<> theirs{Id{std::byte{2}}};  // another client edits it there
    theirs.saw(server.scenes["plan"].stamp);
    server.scenes["plan"] = {"a circle in a square", theirs.stamp()};
    loop.run_until([&] { return board.scenes["plan"] == server.scenes["plan"]; });

    bridge.stop();
    loop.run_until([&] { return bridge.ended(); });
    return 0;
}
