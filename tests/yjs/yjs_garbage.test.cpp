// SPDX-License-Identifier: MIT
// Goal: a document stays as small as one of Yjs that collects garbage, and its clients have the
// same content. Method: histories with much deleted content, some of them recorded from yjs and
// many that yjs makes under node.
#include <belay/core/random.hpp>
#include <belay/yjs/yjs_document.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/node.hpp"

using namespace belay;
using belay_test::beside_program;
using belay_test::from_hex;
using belay_test::RealYjs;
using belay_test::to_hex;

namespace {

/// A history, and the document that Yjs makes from it.
struct Recorded {
    std::string name;
    std::vector<Bytes> updates;
    std::size_t size = 0;
    std::string document;
};

std::vector<Recorded> recorded_of(const std::vector<std::string>& lines) {
    std::vector<Recorded> histories;
    for (const std::string& line : lines) {
        const std::size_t space = line.find(' ');
        const std::string word = line.substr(0, space), value = line.substr(space + 1);
        if (word == "history") {
            histories.emplace_back().name = value;
            continue;
        }
        Recorded& history = histories.back();
        if (word == "update" || word == "lost") history.updates.push_back(from_hex(value));
        if (word == "size") history.size = static_cast<std::size_t>(std::stoul(value));
        if (word == "document") history.document = value;
    }
    return histories;
}

Bytes from_base64(std::string_view text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Bytes bytes;
    unsigned bits = 0;
    unsigned count = 0;
    for (const char c : text.substr(0, text.find('='))) {
        bits = (bits << 6U) | static_cast<unsigned>(digits.find(c));
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes.push_back(static_cast<std::byte>((bits >> count) & 255U));
    }
    return bytes;
}

/// A history of garbage_corpus.txt, and the bytes of the document that Yjs makes from it.
struct CorpusHistory {
    std::string name;
    Bytes by_yjs;
    std::vector<Bytes> updates;
};

/// The recorded histories; garbage.mjs describes their file.
std::vector<CorpusHistory> corpus() {
    std::vector<CorpusHistory> histories;
    std::ifstream file{beside_program(BELAY_NODE_SCRIPTS) + "/yjs/garbage_corpus.txt"};
    for (std::string line; std::getline(file, line);) {
        const std::size_t space = line.find(' ');
        const std::string word = line.substr(0, space), value = line.substr(space + 1);
        if (word == "history") histories.emplace_back().name = value;
        if (word == "document") histories.back().by_yjs = from_base64(value);
        if (word == "update") histories.back().updates.push_back(from_base64(value));
    }
    REQUIRE(histories.size() >= 80);
    return histories;
}

/// The one update of a new document to which these were applied.
Bytes document_of(const std::vector<Bytes>& updates) {
    YjsDocument document;
    for (const Bytes& update : updates) REQUIRE(!document.apply(update));
    const auto snapshot = document.snapshot();
    REQUIRE(snapshot.size() == 1);
    CHECK(document.status().gaps == 0);
    CHECK(document.status().conflicts == 0);
    return snapshot[0];
}

/// Prints the size of the largest of many documents, compared with Yjs.
struct WorstRatio {
    double ratio = 0;
    std::string name{};
    void add(std::size_t size, std::size_t by_yjs, const std::string& which) {
        const double one = static_cast<double>(size) / static_cast<double>(by_yjs);
        CHECK(one <= 1.2);
        if (one > ratio) name = which;
        ratio = std::max(ratio, one);
    }
    void print(const char* what, std::size_t count) const {
        std::printf("largest of %zu %s, compared with Yjs: %.3f (%s)\n", count, what, ratio,
                    name.c_str());
    }
};

}  // namespace

TEST_CASE("YjsDocument makes at most 1.2 times the bytes of Yjs of each recorded history",
          "[room][yjs_garbage][golden]") {
    const std::vector<CorpusHistory> histories = corpus();
    WorstRatio worst;
    for (const CorpusHistory& history : histories) {
        INFO(history.name);
        const Bytes ours = document_of(history.updates);
        worst.add(ours.size(), history.by_yjs.size(), history.name);
        CHECK(document_of({ours}) == ours);
        // No content is lost: the document of Yjs has the same content, and adds nothing.
        CHECK(document_of({history.by_yjs}) == ours);
        CHECK(document_of({ours, history.by_yjs}) == ours);
    }
    worst.print("recorded histories", histories.size());
}

TEST_CASE("YjsDocument makes the same bytes of a recorded history for any order of arrival",
          "[room][yjs_garbage][property]") {
    Random bits{Seed{31}};
    for (const CorpusHistory& history : corpus()) {
        INFO(history.name);
        const Bytes in_order = document_of(history.updates);
        std::vector<Bytes> shuffled{history.updates.rbegin(), history.updates.rend()};
        for (int run = 0; run < 8; ++run) {
            CHECK(document_of(shuffled) == in_order);
            for (std::size_t i = shuffled.size(); i > 1; --i) {
                std::swap(shuffled[i - 1], shuffled[uniform_upto(bits, i - 1)]);
            }
            YjsDocument document;
            for (const Bytes& update : shuffled) {
                REQUIRE(!document.apply(update));
                if (uniform_upto(bits, 3) == 0) static_cast<void>(document.snapshot());
            }
            CHECK(document.snapshot()[0] == in_order);
        }
    }
}

TEST_CASE("The recorded histories are those that Yjs makes today, and Yjs loads the results",
          "[room][yjs_garbage][golden]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    static_cast<void>(yjs.run("garbage.mjs --check"));
    const std::vector<CorpusHistory> histories = corpus();
    std::vector<std::string> lines;
    for (const CorpusHistory& history : histories) {
        lines.push_back("new " + to_hex(document_of(history.updates)));
        lines.push_back("new " + to_hex(history.by_yjs));
    }
    const std::vector<std::string> answers = yjs.run("apply.mjs", lines);
    REQUIRE(answers.size() == 2 * histories.size());
    for (std::size_t i = 0; i < histories.size(); ++i) {
        INFO(histories[i].name);
        CHECK(answers[2 * i].starts_with("is "));
        CHECK(answers[2 * i] == answers[2 * i + 1]);
    }
}

TEST_CASE("YjsDocument stays as small as a document of Yjs that collects garbage",
          "[room][yjs_garbage][golden]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    const std::vector<Recorded> histories = recorded_of(yjs.run("garbage.mjs"));
    REQUIRE(histories.size() >= 80);
    std::vector<std::string> lines;
    WorstRatio worst;
    for (const Recorded& history : histories) {
        INFO(history.name);
        YjsDocument document{{.compaction = Compaction::coalesce_and_scrub}};
        for (const Bytes& update : history.updates) REQUIRE(!document.apply(update));
        const auto joined = document.diff(from_hex("00"));
        REQUIRE(joined);
        const auto snapshot = document.snapshot();
        REQUIRE(snapshot.size() == 1);
        CHECK(*joined == snapshot[0]);
        worst.add(snapshot[0].size(), history.size, history.name);
        lines.push_back("new " + to_hex(snapshot[0]));
    }
    worst.print("histories", histories.size());
    const std::vector<std::string> answers = yjs.run("apply.mjs", lines);
    REQUIRE(answers.size() == histories.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
        INFO(histories[i].name);
        CHECK(answers[i] == "is " + histories[i].document);
    }
}

TEST_CASE(
    "YjsDocument: updates that are cut, shuffled and repeated, and compacted at any time, make "
    "the document of Yjs",
    "[room][yjs_garbage][property]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    Random bits{Seed{30}};
    std::vector<std::string> lines;
    std::vector<Recorded> histories = recorded_of(yjs.run("histories.mjs 30 60"));
    // The result of Yjs itself depends on the order if a pair was cut in half.
    std::erase_if(histories, [](const Recorded& h) { return h.name.find("pairs") != h.name.npos; });
    for (const Recorded& history : histories) {
        INFO(history.name);
        for (int run = 0; run < 4; ++run) {
            std::vector<Bytes> parts;
            for (const Bytes& update : history.updates) {
                const bool is_whole = uniform_upto(bits, 2) > 0;
                if (is_whole) parts.push_back(update);
                if (is_whole && uniform_upto(bits, 2) > 0) continue;
                const auto pieces = yjs::split_update(update, yjs::split_bytes_min);
                REQUIRE(pieces);
                parts.insert(parts.end(), pieces->begin(), pieces->end());
            }
            for (std::size_t i = parts.size(); run > 0 && i > 1; --i) {
                std::swap(parts[i - 1], parts[uniform_upto(bits, i - 1)]);
            }
            YjsDocument document;
            for (const Bytes& part : parts) {
                REQUIRE(!document.apply(part));
                const std::uint64_t then = uniform_upto(bits, 9);
                if (then == 0) static_cast<void>(document.snapshot());
                if (then == 1) static_cast<void>(document.state_vector());
                if (then == 2) document = YjsDocument{document};
            }
            const auto snapshot = document.snapshot();
            REQUIRE(snapshot.size() == 1);
            CHECK(*yjs::scrub(snapshot[0]) == snapshot[0]);
            lines.push_back("new " + to_hex(snapshot[0]));
        }
    }
    const std::vector<std::string> answers = yjs.run("apply.mjs", lines);
    REQUIRE(answers.size() == 4 * histories.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
        INFO(histories[i / 4].name);
        CHECK(answers[i] == "is " + histories[i / 4].document);
    }
}

TEST_CASE("YjsDocument serves clients that return after a deletion like a server with Yjs",
          "[room][yjs_garbage][golden]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    YjsDocument document;
    std::string scenario;
    std::size_t same = 0;
    std::size_t joins = 0;
    yjs.talk("returned.mjs 150", [&](const std::string& line) -> std::string {
        const std::size_t space = line.find(' ');
        const std::string word = line.substr(0, space), value = line.substr(space + 1);
        INFO(scenario);
        if (word == "scenario") {
            scenario = value;
            document = YjsDocument{{.pending_updates_max = 1 + joins % 7}};
        } else if (word == "apply") {
            const Bytes update = from_hex(value);
            const auto adds = document.check(update);
            CHECK(adds);
            if (adds.value_or(true)) CHECK(!document.apply(update));
        } else if (word == "join") {
            ++joins;
            const auto diff = document.diff(from_hex(value));
            CHECK(diff);
            return to_hex(document.state_vector()) + " " + to_hex(diff.value_or(Bytes(2)));
        } else {
            CHECK(line == "same ");
            CHECK(document.status().gaps == 0);
            CHECK(document.status().conflicts == 0);
            ++same;
        }
        return {};
    });
    CHECK(same == 160);
    CHECK(joins > 1000);
}
