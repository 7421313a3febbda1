// SPDX-License-Identifier: MIT
// Goal: the demo delivers every line once and in order, and detects planted bugs. Method: the
// demo itself.
#include <optional>

#include "support/catch.hpp"

#include "e2e/demo_fixture.hpp"
#include "e2e/planted_bug.hpp"

using e2e::contains;
using e2e::Process;
using e2e::TestDirectory;

namespace {

/// A run of a few seconds: fast lines, about one fault of each kind.
std::vector<std::string> quick(const std::string& program, const std::string& file,
                               const std::string& dir, std::vector<std::string> more = {}) {
    std::vector<std::string> words{program, "--file",         file, "--dir",   dir, "--rate",
                                   "2000",  "--seed",         "7",  "--kills", "2", "--freezes",
                                   "1",     "--client-kills", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

}  // namespace

TEST_CASE("The outage demo delivers every line exactly once and in order through kills and freezes",
          "[e2e][outage][fault]") {
    const TestDirectory w;
    const std::string input = e2e::sample_text(1500, false);
    e2e::write(w / "input", input);
    Process demo{quick(e2e::outage, w / "input", w / "made/by/the/demo")};
    const int code = demo.wait();
    INFO(demo.text());
    REQUIRE(code == 0);
    CHECK(contains(demo.text(),
                   "verdict: 1500 lines, 0 lost, 0 duplicated, 0 out of order, through "
                   "2 server kills, 1 freeze, 1 client kill\n"));
    CHECK(e2e::ledger_equals(w / "made/by/the/demo/ledger.txt", input));
    // Each fault is an outage that the client detected. A busy machine may add others.
    const std::size_t at = demo.text().find("s in all; ") + 10;
    CHECK(std::stoi(demo.text().substr(at)) >= 4);
    const std::string picture = e2e::read(w / "made/by/the/demo/outage.svg");
    CHECK(contains(picture, "<svg xmlns="));
    CHECK(contains(picture, "</svg>"));
    CHECK(contains(picture, "class=\"frozen\""));
}

TEST_CASE("The outage demo injects its faults also if there are more of them than lines",
          "[e2e][outage][unit]") {
    const TestDirectory w;
    e2e::write(w / "input", "only line");
    Process demo{{e2e::outage, "--file", w / "input", "--dir", w / "d", "--rate", "0", "--kills",
                  "2", "--freezes", "1", "--client-kills", "1", "--seed", "3"}};
    const int code = demo.wait();
    INFO(demo.text());
    CHECK(code == 0);
    CHECK(contains(demo.text(),
                   "verdict: 1 line, 0 lost, 0 duplicated, 0 out of order, through 2 server "
                   "kills, 1 freeze, 1 client kill\n"));
    CHECK(e2e::ledger_equals(w / "d/ledger.txt", "only line"));
}

TEST_CASE("The outage demo prints 0 of 0 for an empty file", "[e2e][outage][unit]") {
    const TestDirectory w;
    e2e::write(w / "input", "");
    Process demo{quick(e2e::outage, w / "input", w / "d")};
    CHECK(demo.wait() == 0);
    CHECK(contains(demo.text(), "0 of 0"));
}

TEST_CASE("The outage demo resumes after Ctrl-C, and starts again after it was finished",
          "[e2e][outage][fault]") {
    const TestDirectory w;
    const std::string input = e2e::sample_text(3000);
    e2e::write(w / "input", input);
    {
        Process demo{quick(e2e::outage, w / "input", w / "d", {"--rate", "400", "--freezes", "0"})};
        REQUIRE(demo.prints("server killed (1 of 2)"));
        demo.signal(SIGINT);
        const int code = demo.wait();
        INFO(demo.text());
        CHECK(code == 130);
        CHECK(contains(demo.text(), "interrupted"));
        CHECK_FALSE(contains(demo.text(), "verdict"));
    }
    {
        // Another file must not be mixed into it.
        e2e::write(w / "other", "other lines\n");
        Process demo{quick(e2e::outage, w / "other", w / "d")};
        CHECK(demo.wait() == 2);
        CHECK(contains(demo.text(), "unfinished run of"));
    }
    const unsigned delivered = e2e::ledger_size(w / "d/ledger.txt");
    {
        // The file is remembered, and its delivered lines count.
        Process demo{{e2e::outage, "--dir", w / "d", "--rate", "2000", "--kills", "2", "--freezes",
                      "0", "--client-kills", "1"}};
        const int code = demo.wait();
        INFO(demo.text());
        CHECK(code == 0);
        CHECK(contains(demo.text(), "resuming: "));
        CHECK(contains(demo.text(), std::to_string(delivered) + " of 3000 lines delivered"));
        CHECK_FALSE(contains(demo.text(), "server killed (1 of 2)"));
        CHECK(contains(demo.text(), "through 2 server kills, 0 freezes, 1 client kill\n"));
        CHECK(e2e::ledger_equals(w / "d/ledger.txt", input));
    }
    {
        e2e::write(w / "other", "other lines\n");
        Process demo{{e2e::outage, "--dir", w / "d", "--file", w / "other", "--kills", "0",
                      "--freezes", "0", "--client-kills", "0"}};
        const int code = demo.wait();
        INFO(demo.text());
        CHECK(code == 0);
        CHECK(contains(demo.text(), "delivering: "));
        CHECK(e2e::ledger_equals(w / "d/ledger.txt", "other lines\n"));
    }
}

TEST_CASE("The outage demo leaves no process running when it is killed", "[e2e][outage][fault]") {
    const TestDirectory w;
    e2e::write(w / "input", e2e::sample_text(3000));
    Process demo{quick(e2e::outage, w / "input", w / "d", {"--rate", "400"})};
    REQUIRE(demo.prints("client connected"));
    demo.signal(SIGKILL);
    CHECK(demo.wait() == -1);
    // Their locks end with them. On a busy machine they may end later than the demo.
    std::optional<Process> again;
    int code = 2;
    for (int tries = 0; tries < 200 && code == 2; ++tries) {
        again.emplace(quick(e2e::outage, w / "input", w / "d"));
        code = again->wait();
        if (!contains(again->text(), "is open in another server")) break;
    }
    INFO(again->text());
    CHECK(code == 0);
    CHECK(contains(again->text(), "resuming: "));
}

TEST_CASE("The outage demo runs once per directory at a time", "[e2e][outage][unit]") {
    const TestDirectory w;
    e2e::write(w / "input", e2e::sample_text(3000));
    Process first{quick(e2e::outage, w / "input", w / "d", {"--rate", "100"})};
    REQUIRE(first.prints("client connected"));
    Process second{quick(e2e::outage, w / "input", w / "d")};
    CHECK(second.wait() == 2);
    CHECK(contains(second.text(), "another demo runs in"));
}

TEST_CASE("The outage demo reports a failure with a faulty ledger", "[e2e][outage][fault]") {
    e2e::check_planted_bug(GENERATE(
        // The ledger ignores one line.
        e2e::PlantedBug{e2e::outage_planted,
                        "drop-record",
                        {"--kills", "0", "--freezes", "0", "--client-kills", "0"},
                        ", 1 lost"},
        // The ledger reports lines as durable that are not: the kill loses acknowledged lines.
        e2e::PlantedBug{e2e::outage_planted,
                        "skip-commit",
                        {"--kills", "1", "--freezes", "0", "--client-kills", "0"},
                        "lost"}));
}
