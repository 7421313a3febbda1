// SPDX-License-Identifier: MIT
// Goal: the sender in Python delivers exactly once to the receiver of the library, and stops for what
// only a person can solve. Method: the programs, which are killed at any instant.
#include "support/catch.hpp"

#include <optional>

#include "e2e/demo_fixture.hpp"

using e2e::LedgerServer;
using e2e::Process;
using e2e::TestDirectory;

namespace {

const std::string session_sender = belay_test::beside_program(SESSION_SENDER);

int add(const std::string& dir, const std::string& file) {
    const std::string command = "exec python3 \"$0\" \"$1\" add < \"$2\"";
    return Process{{"/bin/sh", "-c", command, session_sender, dir, file}}.wait();
}
std::vector<std::string> deliver(const std::string& dir, const LedgerServer& server) {
    return {"/usr/bin/env", "python3", session_sender, dir, "deliver", "127.0.0.1", server.number};
}

}  // namespace

TEST_CASE("The sender in Python delivers each line once, although both sides are killed",
          "[e2e][session_sender][fault]") {
    const TestDirectory w;
    const std::string first = e2e::sample_text(300);
    const std::string second = e2e::sample_text(500, false);
    e2e::write(w / "first", first);
    e2e::write(w / "second", second);
    REQUIRE(add(w / "sender", w / "first") == 0);
    REQUIRE(add(w / "sender", w / "second") == 0);
    std::optional<LedgerServer> server{std::in_place, w / "server"};
    const std::string port = server->number;
    // Each sender is killed after another part of the lines, and each second receiver with it.
    for (unsigned part = 1; part <= 4; ++part) {
        Process sender{deliver(w / "sender", *server)};
        REQUIRE(e2e::eventually([&] {
            return sender.ended() || e2e::ledger_size(w / "server/ledger.txt") >= part * 150;
        }));
        sender.signal(SIGKILL);
        if (part % 2 == 0) continue;
        server.reset();
        server.emplace(w / "server", port);
        REQUIRE(server->number == port);
    }
    Process last{deliver(w / "sender", *server)};
    const int code = last.wait();
    INFO("sender: " << last.text() << "\nserver: " << server->process.text());
    CHECK(code == 0);
    CHECK(e2e::contains(last.text(), "delivered 800"));
    CHECK(e2e::ledger_equals(w / "server/ledger.txt", first + second));
}

TEST_CASE("The sender in Python stops if the receiver has lost its state",
          "[e2e][session_sender][fault]") {
    const TestDirectory w;
    e2e::write(w / "lines", "one\ntwo\n");
    REQUIRE(add(w / "sender", w / "lines") == 0);
    {
        LedgerServer server{w / "server"};
        REQUIRE(Process{deliver(w / "sender", server)}.wait() == 0);
        REQUIRE(add(w / "sender", w / "lines") == 0);
    }
    std::filesystem::remove_all(w / "server");
    LedgerServer empty{w / "server"};
    Process sender{deliver(w / "sender", empty)};
    CHECK(sender.wait() == 1);
    CHECK(e2e::contains(sender.text(), "blocked: "));
    CHECK(e2e::ledger_size(w / "server/ledger.txt") == 0);
}

TEST_CASE("The sender in Python waits for a receiver that is down",
          "[e2e][session_sender][fault]") {
    const TestDirectory w;
    e2e::write(w / "lines", "one\ntwo\n");
    REQUIRE(add(w / "sender", w / "lines") == 0);
    std::optional<LedgerServer> server{std::in_place, w / "server"};
    const std::string port = server->number;
    const std::vector<std::string> command = deliver(w / "sender", *server);
    server.reset();
    Process sender{command};
    REQUIRE(sender.prints("again in at most"));
    server.emplace(w / "server", port);
    CHECK(sender.wait() == 0);
    CHECK(e2e::ledger_equals(w / "server/ledger.txt", "one\ntwo\n"));
}
