// SPDX-License-Identifier: MIT
// Goal: merging, diffs and pieces equal the results of the real Yjs, in bytes or as documents.
// Method: random editing histories of several clients, by yjs under node.
#include <algorithm>
#include <set>
#include <string>

#include <belay/core/random.hpp>
#include <belay/yjs/yjs_update.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/node.hpp"
#include "support/seeds.hpp"
#include "support/yjs/yjs_mutations.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::is_large;
using belay_test::RealYjs;
using belay_test::to_hex;

namespace {

struct History {
    std::string name;
    std::vector<Bytes> updates;
    std::vector<Bytes> lost;
    std::string merged;
    std::string vector;
    std::vector<std::pair<std::string, std::string>> diffs;
    std::string document;
};

std::vector<History> histories_of(const std::vector<std::string>& lines) {
    std::vector<History> histories;
    for (const std::string& line : lines) {
        const std::size_t space = line.find(' ');
        const std::string word = line.substr(0, space), value = line.substr(space + 1);
        if (word == "history") {
            histories.emplace_back().name = value;
            continue;
        }
        History& h = histories.back();
        if (word == "update") h.updates.push_back(from_hex(value));
        if (word == "lost") h.lost.push_back(from_hex(value));
        if (word == "merged") h.merged = value;
        if (word == "vector") h.vector = value;
        if (word == "document") h.document = value;
        if (word == "diff") {
            const std::size_t gap = value.find(' ');
            h.diffs.emplace_back(value.substr(0, gap), value.substr(gap + 1));
        }
    }
    return histories;
}

/// Updates with the document that they must result in.
struct Claims {
    std::vector<std::string> lines;
    std::vector<std::string> documents;
    std::vector<std::string> names;

    void add(const History& h, const char* what, const std::vector<Bytes>& updates) {
        std::string line = "new";
        for (const Bytes& update : updates) line += " " + to_hex(update);
        for (const Bytes& update : h.lost) line += " " + to_hex(update);
        lines.push_back(line);
        documents.push_back("is " + h.document);
        names.push_back(h.name + ", " + what);
    }
};

template <class T>
T made(Result<T, yjs::UpdateError>&& result) {
    INFO(result.error().message());
    REQUIRE(result);
    return std::move(*result);
}

}  // namespace

TEST_CASE("yjs: random histories are merged, compared and cut like in Yjs",
          "[room][yjs_real][golden]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    const std::size_t count = is_large() ? 80 : 30;
    const std::vector<History> histories =
        histories_of(yjs.run("histories.mjs 1 " + std::to_string(count)));
    REQUIRE(histories.size() == count);
    Claims claims;
    std::size_t alike = 0;
    for (const History& h : histories) {
        INFO("history " << h.name);
        for (const Bytes& update : h.updates) made(yjs::validate(update));
        const yjs::Merged merged = made(yjs::merge_updates(h.updates));
        CHECK(merged.conflicts == 0);
        if (h.lost.empty()) CHECK(merged.gaps == 0);
        // If the same content was cut in several ways, either is right.
        if (h.name.find("overlapping") == std::string::npos) {
            ++alike;
            CHECK(to_hex(merged.update) == h.merged);
        }
        // The input has the same bytes that Yjs has merged.
        const Bytes theirs = from_hex(h.merged);
        CHECK(to_hex(made(yjs::state_vector(theirs))) == h.vector);
        for (const auto& [vector, diff] : h.diffs) {
            CHECK(to_hex(made(yjs::diff_update(theirs, from_hex(vector)))) == diff);
        }
        // The result of Yjs itself depends on the order if a pair was cut in half.
        if (h.name.find("pairs") != std::string::npos) continue;
        const Bytes joined = made(yjs::coalesce(merged.update));
        const Bytes scrubbed = made(yjs::scrub(merged.update));
        claims.add(h, "merged", {merged.update});
        claims.add(h, "joined", {joined});
        claims.add(h, "scrubbed", {scrubbed});
        claims.add(h, "scrubbed and joined", {made(yjs::coalesce(scrubbed))});
        claims.add(h, "cut", made(yjs::split_update(joined, yjs::split_bytes_min)));
        const Bytes half =
            made(yjs::merge_updates(std::span{h.updates}.first(h.updates.size() / 2))).update;
        claims.add(h, "half and the rest",
                   {half, made(yjs::diff_update(joined, made(yjs::state_vector(half))))});
    }
    const std::vector<std::string> answers = yjs.run("apply.mjs", claims.lines);
    REQUIRE(answers.size() == claims.lines.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
        INFO("history " << claims.names[i]);
        CHECK(answers[i] == claims.documents[i]);
    }
    CHECK(alike > count / 4);
}

TEST_CASE("yjs::split_update: Yjs applies the pieces in their order, and in any order once merged",
          "[room][yjs_real][golden]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    std::vector<History> histories =
        histories_of(yjs.run(is_large() ? "histories.mjs 5 20" : "histories.mjs 5 7"));
    // A history whose clients refer to each other so often that Yjs stops before it has all
    // content.
    const std::vector<History> entangled = histories_of(yjs.run("histories.mjs 9 1 173"));
    histories.insert(histories.end(), entangled.begin(), entangled.end());
    Random bits{Seed{5}};
    Claims claims;
    for (const History& h : histories) {
        // The result of Yjs itself depends on the order if a pair was cut in half.
        if (h.name.find("pairs") != std::string::npos) continue;
        const Bytes whole = made(yjs::merge_updates(h.updates)).update;
        std::vector<Bytes> pieces = made(yjs::split_update(whole, yjs::split_bytes_min));
        claims.add(h, "in order", pieces);
        const int runs = h.name == entangled[0].name ? 200 : is_large() ? 10 : 3;
        for (int run = 0; run < runs; ++run) {
            for (std::size_t i = pieces.size(); i > 1; --i) {
                std::swap(pieces[i - 1], pieces[uniform_upto(bits, i - 1)]);
            }
            claims.add(h, "shuffled", pieces);
            claims.add(h, "shuffled and merged", {made(yjs::merge_updates(pieces)).update});
        }
    }
    const std::vector<std::string> answers = yjs.run("apply.mjs", claims.lines);
    REQUIRE(answers.size() == claims.lines.size());
    std::size_t kept_back = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        INFO("history " << claims.names[i]);
        if (claims.names[i].ends_with("shuffled")) {
            kept_back += answers[i] != claims.documents[i] ? 1U : 0U;
        } else {
            CHECK(answers[i] == claims.documents[i]);
        }
    }
    // Otherwise, the docstring in yjs_update.hpp would be too weak.
    CHECK(kept_back > 0);
}

TEST_CASE("yjs: Yjs applies every update that validate accepts without an exception",
          "[room][yjs_real][fault]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    const std::vector<History> histories =
        histories_of(yjs.run(is_large() ? "histories.mjs 3 25" : "histories.mjs 3 10"));
    Random bits{Seed{11}};
    std::vector<std::string> lines;
    std::vector<std::string> reasons;  // "" if it was accepted
    for (const History& h : histories) {
        const Bytes base = made(yjs::merge_updates(h.updates)).update;
        lines.push_back("base " + to_hex(base));
        for (int i = 0; i < 200; ++i) {
            const auto any = [&]() -> const Bytes& {
                return h.updates[uniform_upto(bits, h.updates.size() - 1)];
            };
            const Bytes update = belay_test::mutated(any(), any(), bits);
            const auto summary = yjs::validate(update);
            if (update.empty() || (!summary && i % 10 != 0)) continue;
            const std::string reason = summary ? "" : summary.error().what;
            for (const char* const word : {"new ", "typed "}) {
                lines.push_back(word + to_hex(update));
                reasons.push_back(reason);
            }
        }
    }
    const std::vector<std::string> answers = yjs.run("apply.mjs", lines);
    REQUIRE(answers.size() == reasons.size());
    std::erase_if(lines, [](const std::string& line) { return line.starts_with("base"); });
    // belay is stricter than Yjs, as specified in docs/reference/yjs-updates.md. It also rejects updates that
    // it cannot read.
    const std::set<std::string> stricter{
        "there are bytes after the end of the update",
        "a client occurs twice",
        "a struct has no length",
        "a deleted range has no length",
        "a number is larger than 2^53 - 1",
        "a clock is beyond 2^53 - 1",
        "values are nested too deeply",
        "the number of the kind is unknown",
        "the bytes have the structure of a version 2 update",
        "an item refers to itself, or to a later item of its client",
        "the options of a subdocument replace its guid or its code",
        "a subdocument has no options"};
    std::size_t accepted = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const bool threw = answers[i].starts_with("threw");
        if (reasons[i].empty()) {
            ++accepted;
            INFO(lines[i]);
            CHECK(answers[i].substr(0, 6) != "threw ");
        } else if (!threw) {
            INFO(lines[i]);
            CHECK(stricter.contains(reasons[i]));
        }
    }
    CHECK(accepted > 20 * histories.size());
}
