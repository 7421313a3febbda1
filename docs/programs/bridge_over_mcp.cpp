// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/curl/http.hpp>   // needs libcurl
#include <belay/mcp/remote.hpp>  // needs nlohmann/json
#include <belay/call/policies.hpp>
#include <belay/call/call_text.hpp>
#include <belay/core/tee.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sync.hpp>
using namespace belay;

/// Here: one scene, which is JSON.
struct Board {
    using content_type = nlohmann::json;
    using Drawing = Scene<content_type>;
    std::optional<Drawing> scene{};
    HybridClock<> clock{Id{std::byte{1}}};

    std::vector<std::string> sessions() { return {"plan"}; }
    Result<std::optional<Drawing>> read(std::string_view) { return scene; }
    std::error_code apply(std::string_view, Drawing newer, Origin) {
        clock.saw(newer.stamp);
        scene = std::move(newer);
        return {};
    }
};

/// Called before each request. The remote keeps no token.
// excerpt: begin
struct TokenSource {
    using token_type = std::string;
    void operator()(Completion<std::string> done) { done("a token"); }  // at once, or later
};
// excerpt: end

struct App {
    bool in_step = false;
    void on_pushed(std::string_view, const Stamp&) { in_step = true; }
};

int main(int count, char** words) {
    if (count != 2) return std::puts("usage: URL"), 2;
    const auto say = [](std::string_view line) { std::fwrite(line.data(), 1, line.size(), stderr); };
    posix::Loop loop;
    Board board;
    App app;
    // excerpt: begin
    Bridge bridge{std::ref(board), mcp::Remote{curl::Http{loop}, words[1], {.token = TokenSource{}}},  // https://...
                  policies::bridge(), Tee{RetryLog{say}, std::ref(app)}};
    // excerpt: end
    loop.attach(bridge);
    bridge.start();

    board.scene = {{{"circles", 1}}, board.clock.stamp()};
    bridge.changed("plan");
    loop.run_until([&] { return app.in_step; });
    std::puts("pushed");

    bridge.stop();
    loop.run_until([&] { return bridge.ended(); });
    return 0;
}
