// SPDX-License-Identifier: MIT
// Goal: the tool tells a whole journal from a damaged one, and salvages. Method: the program itself
// on real files, damaged by hand.
#include <filesystem>

#include <belay/posix.hpp>

#include "e2e/workshop.hpp"
#include "support/catch.hpp"

using namespace belay;
using e2e::Process;
using e2e::Workshop;

namespace {

const std::string tool = JOURNAL_INSPECT_BINARY;

struct Answer {
    int code;
    std::string text;

    [[nodiscard]] bool has(const std::string& words) const {
        return text.find(words) != std::string::npos;
    }
};

Answer ask(std::vector<std::string> words) {
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
    REQUIRE_FALSE(journal->sync());
}

std::string segment(const std::string& directory, std::uint64_t index) {
    return directory + '/' + journal_format::segment_name(index);
}

}  // namespace

TEST_CASE("journal_inspect finds a whole journal whole", "[e2e][journal_inspect][unit]") {
    const Workshop shop;
    fill(shop / "q");
    const Answer answer = ask({shop / "q"});
    INFO(answer.text);
    CHECK(answer.code == 0);
    CHECK(answer.has("acknowledged up to 2; 98 operations wait"));
    CHECK(answer.has("verdict: whole"));
    CHECK_FALSE(answer.has("operation 50"));
    const Answer all = ask({"--operations", shop / "q"});
    CHECK(all.has("\n3: 11 bytes: operation 3\n"));
    CHECK(all.has("\n100: 13 bytes: operation 100\n"));
    CHECK_FALSE(all.has("\n2: 11 bytes"));
}

TEST_CASE("journal_inspect names damage, and salvages the rest", "[e2e][journal_inspect][fault]") {
    const Workshop shop;
    fill(shop / "q");
    std::string bytes = e2e::read(segment(shop / "q", 1));
    const std::size_t at = bytes.find("operation 20");
    REQUIRE(at != std::string::npos);
    bytes[at] = 'O';
    e2e::write(segment(shop / "q", 1), bytes);

    const Answer answer = ask({"--salvage", shop / "new", shop / "q"});
    INFO(answer.text);
    CHECK(answer.code == 1);
    CHECK(answer.has("DAMAGE: " + segment(shop / "q", 1) + " at byte "));
    CHECK(answer.has("LOST: operations 20 to 20"));
    CHECK(answer.has("salvaged: 97 operations are in " + (shop / "new")));
    CHECK(answer.has("verdict: damaged"));
    CHECK(e2e::read(segment(shop / "q", 1)) == bytes);

    {
        auto salvaged = posix::Journal::open(shop / "new", {});
        REQUIRE(salvaged);
        REQUIRE(salvaged->size() == 97);
        CHECK(as_text(*salvaged->read(17)) == "operation 19");
        CHECK(as_text(*salvaged->read(18)) == "operation 21");
        CHECK(as_text(*salvaged->read(97)) == "operation 100");
    }

    const Answer again = ask({"--salvage", shop / "new", shop / "q"});
    CHECK(again.code == 2);
    CHECK(again.has("there is a journal in it"));
}

TEST_CASE("journal_inspect says what it cannot do", "[e2e][journal_inspect][unit]") {
    const Workshop shop;
    std::filesystem::create_directory(shop / "empty");
    CHECK(ask({"--help"}).code == 0);
    const auto refuses = [](const std::vector<std::string>& words, const char* why) {
        const Answer answer = ask(words);
        INFO(answer.text);
        CHECK(answer.code == 2);
        CHECK(answer.text.substr(0, 17) == "journal_inspect: ");
        CHECK(answer.has(why));
    };
    refuses({}, "which journal?");
    refuses({shop / "nothing"}, "No such file or directory");
    refuses({shop / "empty"}, "there is no journal in it");
    refuses({"--loud", shop / "empty"}, "unknown option '--loud'");
    refuses({"--salvage"}, "--salvage needs a directory");
    refuses({"a", "b"}, "one journal at a time: 'a' or 'b'");
}
