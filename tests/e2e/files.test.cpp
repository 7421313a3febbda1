// SPDX-License-Identifier: MIT
// Goal: with torn, damaged, foreign, forbidden files or a full disk the programs print a clear
// error and lose no line. Method: the programs, and files changed by the test.
#include "support/catch.hpp"

#include <sys/resource.h>

#include "e2e/demo_fixture.hpp"

using e2e::contains;
using e2e::LedgerServer;
using e2e::Process;
using e2e::TestDirectory;

namespace {

std::vector<std::string> server(const std::string& dir) {
    return {e2e::outage, "server", "--port", "0", "--dir", dir};
}
std::vector<std::string> delivering_client(const LedgerServer& s, const TestDirectory& w) {
    return {e2e::outage, "client",    "--connect", s.address(),
            "--file",    w / "input", "--dir",     w / "client"};
}

/// A ledger and a journal in which some lines are delivered, and more follow.
std::string half_delivered(const TestDirectory& w) {
    const std::string input = e2e::sample_text(400);
    e2e::write(w / "input", input);
    LedgerServer s{w / "server"};
    std::vector<std::string> words = delivering_client(s, w);
    words.insert(words.end(), {"--rate", "100"});
    Process c{words};
    REQUIRE(e2e::eventually([&] { return e2e::ledger_size(w / "server/ledger.txt") >= 100; }));
    return input;
}

void is_delivered(const TestDirectory& w, const std::string& input) {
    LedgerServer s{w / "server"};
    Process c{delivering_client(s, w)};
    const int code = c.wait();
    INFO("client: " << c.text() << "\nserver: " << s.process.text());
    CHECK(code == 0);
    CHECK(e2e::ledger_equals(w / "server/ledger.txt", input));
}

/// The path of the journal's newest segment.
std::string newest_segment(const TestDirectory& w) {
    std::string newest;
    for (const auto& entry : std::filesystem::directory_iterator{w / "client/journal"}) {
        const std::string path = entry.path();
        if (entry.path().extension() == ".journal") newest = std::max(newest, path);
    }
    return newest;
}

void without_rights() {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(99);
}

}  // namespace

TEST_CASE("outage server cuts a torn last line off its ledger, reports it, and continues",
          "[e2e][files][fault]") {
    const TestDirectory w;
    const std::string input = half_delivered(w);
    const std::string path = w / "server/ledger.txt";
    const std::string whole = e2e::read(path);
    // It is torn in its text, and in its number.
    const std::size_t kept = GENERATE(std::size_t{3}, std::size_t{25});
    const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1;
    e2e::write(path, whole.substr(0, last + kept));
    {
        LedgerServer s{w / "server"};
        CHECK(s.process.prints("ended in the middle of a line: cut"));
        CHECK((e2e::read(path) == whole.substr(0, last)));
    }
}

TEST_CASE("outage server continues delivery after its ledger was torn by a crash",
          "[e2e][files][fault]") {
    const TestDirectory w;
    const std::string input = half_delivered(w);
    const std::string path = w / "server/ledger.txt";
    // A line that was begun, and never acknowledged.
    e2e::write(path, e2e::read(path) + "101 42949");
    is_delivered(w, input);
}

TEST_CASE("outage server rejects a ledger that is damaged before its end, and does not change it",
          "[e2e][files][fault]") {
    const TestDirectory w;
    half_delivered(w);
    const std::string path = w / "server/ledger.txt";
    const std::string whole = e2e::read(path);
    const std::size_t line_50 = whole.find("\n50 ") + 1;
    const std::size_t line_51 = whole.find("\n51 ") + 1;
    std::string damaged = whole;
    std::string message = "ledger.txt, line ";
    SECTION("a byte of a line's text") {
        damaged[line_51 - 2] ^= 1;
        message = "ledger.txt, line 53: damaged: the check";
    }
    SECTION("a byte of a number") { damaged[line_50] = '6'; }
    SECTION("a line is missing") {
        damaged.erase(line_50, line_51 - line_50);
        message = "ledger.txt, line 53: damaged: the number does not follow";
    }
    SECTION("a line is there twice") {
        damaged.insert(line_50, whole.substr(line_50, line_51 - line_50));
    }
    SECTION("random bytes") { damaged.replace(line_50, 20, 20, '\0'); }
    SECTION("another kind of file") {
        damaged = "shopping list\n" + whole;
        message = "line 1: this is not a ledger";
    }
    e2e::write(path, damaged);
    Process p{server(w / "server")};
    CHECK(p.wait() == 2);
    INFO(p.text());
    CHECK(contains(p.text(), message));
    CHECK(contains(p.text(), "restore the file from a backup"));
    CHECK((e2e::read(path) == damaged));
}

TEST_CASE("outage server locks its ledger against a second server", "[e2e][files][unit]") {
    const TestDirectory w;
    const LedgerServer first{w / "server"};
    Process second{server(w / "server")};
    CHECK(second.wait() == 2);
    CHECK(contains(second.text(), "is open in another server"));
}

TEST_CASE("outage client locks its journal against a second client", "[e2e][files][unit]") {
    const TestDirectory w;
    LedgerServer s{w / "server"};
    e2e::write(w / "input", e2e::sample_text(100));
    std::vector<std::string> words = delivering_client(s, w);
    words.insert(words.end(), {"--rate", "10"});
    Process first{words};
    REQUIRE(first.prints("connected"));
    Process second{words};
    CHECK(second.wait() == 2);
    CHECK(contains(second.text(), "the journal or store is already open"));
}

TEST_CASE("outage client rejects a journal that is foreign or truncated, and does not change it",
          "[e2e][files][fault]") {
    const TestDirectory w;
    const std::string input = half_delivered(w);
    const std::string path = newest_segment(w);
    const std::string whole = e2e::read(path);
    std::string damaged = whole;
    SECTION("foreign") { damaged = "this is not a journal\n" + std::string(5000, '.'); }
    SECTION("truncated to less than its header") { damaged.resize(100); }
    SECTION("a byte of an operation") { damaged[whole.find("windows line 9") + 3] ^= 1; }
    e2e::write(path, damaged);
    LedgerServer s{w / "server"};
    Process c{delivering_client(s, w)};
    CHECK(c.wait() == 2);
    INFO(c.text());
    CHECK(contains(c.text(), path));
    CHECK((e2e::read(path) == damaged));
    // With the file restored, all lines arrive.
    e2e::write(path, whole);
    s.process.signal(SIGTERM);
    s.process.wait();
    is_delivered(w, input);
}

TEST_CASE("outage client rejects an invalid sender id, and another file than before",
          "[e2e][files][unit]") {
    const TestDirectory w;
    const std::string input = half_delivered(w);
    const std::string id = e2e::read(w / "client/sender.txt");
    const LedgerServer s{w / "server"};
    {
        e2e::write(w / "client/sender.txt", "me\n");
        Process c{delivering_client(s, w)};
        CHECK(c.wait() == 2);
        CHECK(contains(c.text(), "sender.txt: this is not a sender id"));
        e2e::write(w / "client/sender.txt", id);
    }
    {
        e2e::write(w / "input", "short\n");
        Process c{delivering_client(s, w)};
        CHECK(c.wait() == 2);
        CHECK(contains(c.text(), "has only 1"));
        e2e::write(w / "input", input);
    }
}

TEST_CASE("outage client stops and reports that the server has lost its ledger",
          "[e2e][files][fault]") {
    const TestDirectory w;
    const std::string input = half_delivered(w);
    const std::string path = w / "server/ledger.txt";
    const std::string whole = e2e::read(path);
    const char* message = "";
    SECTION("all of it") {
        std::filesystem::remove(path);
        message = "receiver_lost_state";
    }
    SECTION("acknowledged lines") {
        e2e::write(path, whole.substr(0, whole.find("\n50 ") + 1));
        message = "receiver_rolled_back";
    }
    {
        const LedgerServer s{w / "server"};
        Process c{delivering_client(s, w)};
        CHECK(c.wait() == 1);
        INFO(c.text());
        CHECK(contains(c.text(), message));
        CHECK(contains(c.text(), "restore the server's ledger"));
    }
    e2e::write(path, whole);
    is_delivered(w, input);
}

TEST_CASE("outage reports the directory for which it has no permission", "[e2e][files][unit]") {
    if (::getuid() != 0) {
        WARN("SKIP: needs root, to drop it in a child");
        return;
    }
    const TestDirectory w;
    const std::string input = half_delivered(w);
    const std::string server_dir = w / "server", client_dir = w / "client";
    std::filesystem::permissions(w / "", std::filesystem::perms::all);
    {
        Process p{server(server_dir), without_rights};
        CHECK(p.wait() == 2);
        INFO(p.text());
        CHECK(contains(p.text(), server_dir));
        CHECK(contains(p.text(), "Permission denied; give this user the permission"));
    }
    {
        const LedgerServer s{server_dir};
        Process p{delivering_client(s, w), without_rights};
        CHECK(p.wait() == 2);
        INFO(p.text());
        CHECK(contains(p.text(), client_dir + "/journal"));
        CHECK(contains(p.text(), "ermission denied"));
    }
    is_delivered(w, input);
}

TEST_CASE("outage loses no line on a full disk", "[e2e][files][fault]") {
    const TestDirectory w;
    const std::string input = e2e::sample_text(400);
    e2e::write(w / "input", input);
    const auto limited = [](rlim_t bytes) {
        return [bytes] {
            const rlimit most{bytes, bytes};
            ::setrlimit(RLIMIT_FSIZE, &most);
            std::signal(SIGXFSZ, SIG_IGN);
        };
    };
    {
        Process s{{e2e::outage, "server", "--port", "0", "--dir", w / "server"}, limited(20000)};
        REQUIRE(s.prints("listens on 127.0.0.1:"));
        const std::string& text = s.text();
        const std::size_t at = text.find("127.0.0.1:");
        Process c{{e2e::outage, "client", "--connect", text.substr(at, text.find(',', at) - at),
                   "--file", w / "input", "--dir", w / "client"}};
        CHECK(s.wait() == 2);
        INFO(s.text());
        CHECK(contains(s.text(), "cannot write " + (w / "server") +
                                     "/ledger.txt: File too large; "
                                     "free some space"));
    }
    is_delivered(w, input);
    {
        // The client's disk at its first start: there is no space for a journal.
        const LedgerServer s{w / "server2"};
        const std::vector<std::string> words{e2e::outage, "client",    "--connect", s.address(),
                                             "--file",    w / "input", "--dir",     w / "client2"};
        Process c{words, limited(4096)};
        CHECK(c.wait() == 2);
        INFO(c.text());
        CHECK(contains(c.text(), "free some space"));
        Process again{words};
        CHECK(again.wait() == 0);
        CHECK(e2e::ledger_equals(w / "server2/ledger.txt", input));
    }
}
