// SPDX-License-Identifier: MIT
// Goal: the tool distinguishes a whole journal from a damaged one, and a work queue's from
// others, and salvages. Method: the program itself on real files, damaged by hand.
#include <filesystem>

#include <belay/posix.hpp>
#include <belay/work/work_queue.hpp>

#include "e2e/demo_fixture.hpp"
#include "support/catch.hpp"

using namespace belay;
using e2e::Process;
using e2e::TestDirectory;

namespace {

const std::string tool = belay_test::beside_program(JOURNAL_INSPECT_BINARY);

struct Answer {
    int code;
    std::string text;

    [[nodiscard]] bool has(const std::string& words) const {
        return text.find(words) != std::string::npos;
    }
};

Answer run_tool(std::vector<std::string> words) {
    words.insert(words.begin(), tool);
    Process p{std::move(words)};
    const int code = p.wait();
    return {code, p.text()};
}

void fill(const std::string& directory) {
    auto journal =
        posix::Journal::open(directory, {.segment_bytes = 4096, .record_bytes_max = 512});
    REQUIRE(journal);
    for (int i = 1; i <= 100; ++i) {
        REQUIRE(journal->append(as_bytes("operation " + std::to_string(i))));
    }
    REQUIRE_FALSE(journal->ack(2));
    REQUIRE_FALSE(journal->commit());
}

using Work = WorkQueue<posix::Journal>;

Moment now() { return {SteadyClock{}.now(), SystemClock{}.now()}; }

std::optional<Work> open_work(const std::string& directory) {
    auto journal =
        posix::Journal::open(directory, {.segment_bytes = 4096, .record_bytes_max = 512});
    if (!journal) return std::nullopt;
    auto work =
        Work::open(std::move(*journal), {.deliveries_max = 1, .record_bytes_max = 512}, now());
    if (!work) return std::nullopt;
    return std::move(*work);
}

/// Items 1 to 60: the 2nd is done, the 3rd is dead, the 4th is delayed by a day, the others wait.
void fill_work(const std::string& directory) {
    auto work = open_work(directory);
    REQUIRE(work);
    for (int i = 1; i <= 60; ++i) {
        REQUIRE(work->push(as_bytes("item " + std::to_string(i)), now(),
                           {.delay = i == 4 ? std::chrono::hours{24} : std::chrono::hours{0}}));
    }
    std::vector<Lease> leases;
    for (int i = 1; i <= 3; ++i) leases.push_back(*work->lease(now()));
    REQUIRE_FALSE(work->ack(leases[1]));
    REQUIRE_FALSE(work->nack(leases[2], now()));
    REQUIRE_FALSE(work->commit());
}

/// Changes a letter of `text` in the first file.
void damage(const std::string& directory, const std::string& text) {
    const std::string path = directory + '/' + journal_format::segment_name(1);
    std::string bytes = e2e::read(path);
    const std::size_t at = bytes.find(text);
    REQUIRE(at != std::string::npos);
    bytes[at] ^= 1;
    e2e::write(path, bytes);
}

std::string segment(const std::string& directory, std::uint64_t index) {
    return directory + '/' + journal_format::segment_name(index);
}

}  // namespace

TEST_CASE("journal_inspect reports a whole journal as whole", "[e2e][journal_inspect][unit]") {
    const TestDirectory dir;
    fill(dir / "q");
    const Answer answer = run_tool({dir / "q"});
    INFO(answer.text);
    CHECK(answer.code == 0);
    CHECK(answer.has("acknowledged up to 2; 98 operations wait"));
    CHECK(answer.has("verdict: whole"));
    CHECK_FALSE(answer.has("operation 50"));
    const Answer all = run_tool({"--operations", dir / "q"});
    CHECK(all.has("\n3: 11 bytes: operation 3\n"));
    CHECK(all.has("\n100: 13 bytes: operation 100\n"));
    CHECK_FALSE(all.has("\n2: 11 bytes"));
}

TEST_CASE("journal_inspect reports damage, and salvages the rest",
          "[e2e][journal_inspect][fault]") {
    const TestDirectory dir;
    fill(dir / "q");
    std::string bytes = e2e::read(segment(dir / "q", 1));
    const std::size_t at = bytes.find("operation 20");
    REQUIRE(at != std::string::npos);
    bytes[at] = 'O';
    e2e::write(segment(dir / "q", 1), bytes);

    const Answer answer = run_tool({"--salvage", dir / "new", dir / "q"});
    INFO(answer.text);
    CHECK(answer.code == 1);
    CHECK(answer.has("DAMAGE: " + segment(dir / "q", 1) + " at byte "));
    CHECK(answer.has("LOST: operations 20 to 20"));
    CHECK(answer.has("salvaged: 97 operations are in " + (dir / "new")));
    CHECK(answer.has("verdict: damaged"));
    CHECK(e2e::read(segment(dir / "q", 1)) == bytes);

    {
        auto salvaged = posix::Journal::open(dir / "new", {});
        REQUIRE(salvaged);
        REQUIRE(salvaged->size() == 97);
        CHECK(as_text(*salvaged->read(17)) == "operation 19");
        CHECK(as_text(*salvaged->read(18)) == "operation 21");
        CHECK(as_text(*salvaged->read(97)) == "operation 100");
    }

    const Answer again = run_tool({"--salvage", dir / "new", dir / "q"});
    CHECK(again.code == 2);
    CHECK(again.has("the directory already has a journal"));
}

TEST_CASE("journal_inspect shows the items of a work queue", "[e2e][journal_inspect][unit]") {
    const TestDirectory dir;
    fill_work(dir / "w");
    const Answer answer = run_tool({dir / "w"});
    INFO(answer.text);
    CHECK(answer.code == 0);
    CHECK(answer.has("a work queue: 58 items, 1 of them delayed; 1 dead letters\n"));
    CHECK(answer.has("verdict: whole"));
    const Answer all = run_tool({"--operations", dir / "w"});
    INFO(all.text);
    CHECK(all.has("\n1: 6 bytes, ready, leased 0 times: item 1\n"));
    CHECK_FALSE(all.has("item 2\n"));
    CHECK(all.has("\n3: 6 bytes, dead, failed, leased 1 times: item 3\n"));
    CHECK(all.has("\n4: 6 bytes, delayed, leased 0 times: item 4\n"));
    CHECK(all.has("\n60: 7 bytes, ready, leased 0 times: item 60\n"));
}

TEST_CASE("journal_inspect salvages a damaged work queue into one that opens",
          "[e2e][journal_inspect][fault]") {
    const TestDirectory dir;
    fill_work(dir / "w");
    damage(dir / "w", "item 40");
    damage(dir / "w", "belay");
    REQUIRE_FALSE(open_work(dir / "w"));

    const Answer answer = run_tool({"--salvage", dir / "new", dir / "w"});
    INFO(answer.text);
    CHECK(answer.code == 1);
    CHECK(answer.has("1 entries, which may have been items, cannot be read"));
    // One of the 60 items is done, and one is damaged.
    CHECK(answer.has("salvaged: 58 items are in " + (dir / "new")));
    CHECK(answer.has("verdict: damaged"));

    auto work = open_work(dir / "new");
    REQUIRE(work);
    CHECK(work->size() == 57);
    CHECK(work->dead() == 1);
    CHECK(work->delayed() == 1);
    std::string bodies;
    REQUIRE_FALSE(work->for_each(
        [&bodies](const WorkItem& item) { bodies += std::string{as_text(item.body)} + '\n'; }));
    CHECK(bodies.starts_with("item 1\nitem 4\n"));
    CHECK(bodies.find("item 39\nitem 41\n") != std::string::npos);
    CHECK(bodies.ends_with("item 60\n"));
}

TEST_CASE("journal_inspect copies a work queue of plain items as a work queue",
          "[e2e][journal_inspect][unit]") {
    // No entry refers to another: an entry is an item, and so is its copy.
    const TestDirectory dir;
    {
        auto work = open_work(dir / "w");
        REQUIRE(work);
        for (const char* const body : {"one", "two"}) REQUIRE(work->push(as_bytes(body), now()));
        REQUIRE_FALSE(work->commit());
    }
    const Answer answer = run_tool({"--salvage", dir / "new", dir / "w"});
    INFO(answer.text);
    CHECK(answer.code == 0);
    CHECK(answer.has("salvaged: 2 operations are in "));
    auto work = open_work(dir / "new");
    REQUIRE(work);
    CHECK(as_text(work->lease(now())->body) == "one");
    CHECK(as_text(work->lease(now())->body) == "two");
}

TEST_CASE("journal_inspect reports invalid arguments and directories",
          "[e2e][journal_inspect][unit]") {
    const TestDirectory dir;
    std::filesystem::create_directory(dir / "empty");
    CHECK(run_tool({"--help"}).code == 0);
    const auto refuses = [](const std::vector<std::string>& words, const char* why) {
        const Answer answer = run_tool(words);
        INFO(answer.text);
        CHECK(answer.code == 2);
        CHECK(answer.text.substr(0, 17) == "journal_inspect: ");
        CHECK(answer.has(why));
    };
    refuses({}, "a directory is missing");
    refuses({dir / "nothing"}, "No such file or directory");
    refuses({dir / "empty"}, "the directory has no journal");
    refuses({"--loud", dir / "empty"}, "unknown option '--loud'");
    refuses({"--salvage"}, "--salvage needs a directory");
    refuses({"a", "b"}, "pass one directory, not two: 'a' and 'b'");
}
