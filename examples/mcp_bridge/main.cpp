// SPDX-License-Identifier: MIT
// Keeps a file and a server of the Model Context Protocol in step; Ctrl-C ends it.
//   example_mcp_bridge http://localhost:3000/mcp FILE [SESSION]
#include <belay/call/call_text.hpp>
#include <belay/call/policies.hpp>
#include <belay/core/tee.hpp>
#include <belay/curl/http.hpp>
#include <belay/mcp/remote.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sync/bridge.hpp>

#include <csignal>
#include <cstdio>

#include "scene_file.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

void say(std::string_view line) {
    std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
}

/// Prints what happens.
struct App {
    void on_state(const Connectivity& now) const {
        const bool there = now.kind == Connectivity::Kind::connected;
        say(there ? "connected" : "disconnected: " + now.reason.message());
    }
    void on_pushed(std::string_view, const Stamp&) const { say("pushed"); }
    void on_conflict(const BridgeConflict<nlohmann::json>& c) const {
        if (c.open) {
            return say("both sides changed the scene; edit the file to decide. The server has: " +
                       c.remote.content.dump());
        }
        const auto& lost = c.kept == Origin::remote ? c.local : c.remote;
        say("both sides changed the scene; this version was lost: " + lost.content.dump());
    }
    void on_error(const BridgeError& error) const {
        if (error.step == BridgeError::Step::base && error.failure.cause == Cause::none) {
            return say("the file has no base yet: the later of two different scenes is kept");
        }
        say(std::string{to_string(error.step)} + ": " + error.failure.message());
    }
};

int reject(const std::string& why) { return std::fprintf(stderr, "%s\n", why.c_str()), 2; }

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

int main(int count, char** words) {
    const std::string url = count > 1 ? words[1] : "";
    if (count < 3 || count > 4 || !(url.starts_with("http://") || url.starts_with("https://"))) {
        return reject("usage: example_mcp_bridge http[s]://... FILE [SESSION]");
    }
    SceneFile local{words[2], count > 3 ? words[3] : "scene"};
    if (!std::filesystem::is_directory(std::filesystem::absolute(local.path).parent_path())) {
        return reject(local.path + ": the directory does not exist");
    }
    if (!local.edited() && !local.scene && std::filesystem::exists(local.path)) {
        return reject(local.path + ": the file must be JSON with a \"content\", and writable");
    }

    posix::Loop loop;
    Bridge bridge{std::ref(local), mcp::Remote{curl::Http{loop}, url}, policies::bridge(),
                  BridgeOptions{.pull = {.interval = 2s},
                                .outage_wait = Backoff{FullJitter{}, Cap{5s}, 500ms}},
                  Tee{RetryLog{say}, App{}}};
    loop.attach(bridge);
    for (const int number : {SIGINT, SIGTERM}) std::signal(number, [](int) { interrupted = 1; });
    bridge.start();
    bridge.changed(local.session);
    for (bool readable = true; interrupted == 0; readable = local.readable) {
        loop.run_until([] { return interrupted != 0; }, 200ms);
        if (local.edited()) bridge.changed(local.session);
        if (readable && !local.readable) say(local.path + ": cannot be read; it stays as it is");
    }
    bridge.stop();
    loop.run_until([&] { return bridge.ended(); });
    say("ended");
}
