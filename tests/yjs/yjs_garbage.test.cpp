// SPDX-License-Identifier: MIT
// Goal: a document stays as small as one of Yjs that collects garbage, and its clients see the
// same. Method: recorded histories with much deleted content, by yjs under node.
#include <belay/core/random.hpp>
#include <belay/yjs/yjs_document.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/node.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::RealYjs;
using belay_test::to_hex;

namespace {

/// A history, and the document that Yjs makes of it.
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

}  // namespace

TEST_CASE("YjsDocument stays as small as a document of Yjs that collects garbage",
          "[room][yjs_garbage][golden]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    const std::vector<Recorded> histories = recorded_of(yjs.run("garbage.mjs"));
    REQUIRE(histories.size() >= 80);
    std::vector<std::string> lines;
    double worst = 0;
    std::string worst_name;
    for (const Recorded& history : histories) {
        INFO(history.name);
        YjsDocument document{{.compaction = Compaction::coalesce_and_scrub}};
        for (const Bytes& update : history.updates) REQUIRE(!document.apply(update));
        const auto joined = document.diff(from_hex("00"));
        REQUIRE(joined);
        const auto snapshot = document.snapshot();
        REQUIRE(snapshot.size() == 1);
        CHECK(*joined == snapshot[0]);
        const double ratio =
            static_cast<double>(snapshot[0].size()) / static_cast<double>(history.size);
        CHECK(ratio <= 1.2);
        if (ratio > worst) worst_name = history.name;
        worst = std::max(worst, ratio);
        lines.push_back("new " + to_hex(snapshot[0]));
    }
    std::printf("largest of %zu histories, compared with Yjs: %.3f (%s)\n", histories.size(), worst,
                worst_name.c_str());
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
    // Yjs itself is not independent of the order where a pair was cut in half.
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

TEST_CASE("YjsDocument serves clients that return after a deletion as a server with Yjs does",
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
