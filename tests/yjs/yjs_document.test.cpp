// SPDX-License-Identifier: MIT
// Goal: a document equals its updates, in any order. It merges on request or when necessary,
// detects updates that add nothing, and keeps its limits. Method: golden updates, and typing.
#include <belay/yjs/yjs_document.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/yjs/yjs_editor.hpp"
#include "support/yjs/yjs_mutations.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::overwrite;
using belay_test::to_hex;
using belay_test::yjs_vectors;

namespace {

/// The n-th letter of a text by client 7.
Bytes letter(std::uint64_t n, const char* text = "a") {
    Bytes update = from_hex("010107");
    yjs::append_varuint(update, n);
    if (n == 0) {
        const Bytes head = from_hex("04010174");
        update.insert(update.end(), head.begin(), head.end());
    } else {
        update.push_back(std::byte{0x84});
        update.push_back(std::byte{7});
        yjs::append_varuint(update, n - 1);
    }
    yjs::append_varbytes(update, as_bytes(text));
    update.push_back(std::byte{0});
    return update;
}

Bytes whole(YjsDocument& document) {
    const auto snapshot = document.snapshot();
    REQUIRE(snapshot.size() == 1);
    return snapshot[0];
}

bool adds(YjsDocument& document, BytesView update) {
    const auto checked = document.check(update);
    REQUIRE(checked);
    return *checked;
}

}  // namespace

TEST_CASE("YjsDocument equals the applied updates, for every golden history",
          "[room][yjs_document][golden]") {
    for (const auto& vector : yjs_vectors) {
        INFO(vector.name);
        YjsDocument document{{.compaction = Compaction::coalesce}};
        YjsDocument scrubbed{{.pending_updates_max = 2}};
        for (const auto hex : vector.updates) {
            CHECK(!document.apply(from_hex(hex)));
            CHECK(!scrubbed.apply(from_hex(hex)));
        }
        CHECK(to_hex(document.state_vector()) == vector.state_vector);
        CHECK(to_hex(scrubbed.state_vector()) == vector.state_vector);
        if (vector.name == "empty") {
            CHECK(document.snapshot().empty());
            CHECK(to_hex(*document.diff(from_hex("00"))) == "0000");
            continue;
        }
        CHECK(to_hex(whole(document)) == vector.coalesced);
        CHECK(to_hex(*document.diff(from_hex("00"))) == vector.coalesced);
        CHECK(to_hex(whole(scrubbed)) == vector.scrubbed);
        const auto merged = yjs::merge_updates({whole(scrubbed), whole(document)});
        REQUIRE(merged);
        CHECK(merged->conflicts == 0);
        CHECK(document.status().gaps == yjs::validate(whole(document))->gaps());
        // Applied again, it adds nothing.
        for (const auto hex : vector.updates) CHECK(!adds(document, from_hex(hex)));
        for (const auto hex : vector.updates) CHECK(!adds(scrubbed, from_hex(hex)));
    }
}

TEST_CASE("YjsDocument merges on request, and when its list is full, and not at every edit",
          "[room][yjs_document][unit]") {
    YjsDocument document{{.pending_updates_max = 10}};
    for (std::uint64_t n = 0; n < 25; ++n) {
        REQUIRE(!document.apply(letter(n)));
        CHECK(document.status().pending_updates == (n + 1) % 10);
    }
    CHECK(document.status().pending_updates == 5);
    CHECK(to_hex(document.state_vector()) == "010719");
    CHECK(document.status().pending_updates == 0);
    CHECK(document.bytes() == whole(document).size());
    CHECK(document.bytes() == letter(0).size() + 24);

    YjsDocument by_bytes{{.pending_bytes_max = 100}};
    for (std::uint64_t n = 0; n < 50; ++n) {
        REQUIRE(!by_bytes.apply(letter(n)));
        CHECK(by_bytes.status().pending_updates <= 100 / letter(0).size() + 1);
    }
    CHECK(whole(by_bytes).size() == letter(0).size() + 49);
}

TEST_CASE("YjsDocument accepts its own state vector, with up to clients_max clients",
          "[room][yjs_document][unit]") {
    YjsDocumentOptions options;
    options.limits.clients_max = 10;
    YjsDocument document{options};
    const auto of_clients = [](std::uint64_t first, std::uint64_t count) {
        Bytes update = from_hex("");
        yjs::append_varuint(update, count);
        for (std::uint64_t id = first + count; id-- != first;) {
            yjs::append_varuint(update, 1);
            yjs::append_varuint(update, id);
            const Bytes rest = from_hex(
                "000401017401"
                "61");
            update.insert(update.end(), rest.begin(), rest.end());
        }
        update.push_back(std::byte{0});
        return update;
    };
    CHECK(document.check(of_clients(100, 11)).error().code == YjsErrc::update_too_large);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        REQUIRE(document.check(of_clients(100 * i, 8)).value_or(false));
        REQUIRE(!document.apply(of_clients(100 * i, 8)));
    }
    const auto diff = document.diff(document.state_vector());
    REQUIRE(diff);
    CHECK(to_hex(*diff) == "0000");
    // A client's offline edits are added, in as many sessions as an update may have.
    const auto vector_of = [](std::uint64_t count) {
        Bytes vector;
        yjs::append_varuint(vector, count);
        for (std::uint64_t id = 1; id <= count; ++id) {
            yjs::append_varuint(vector, id);
            yjs::append_varuint(vector, 1);
        }
        return vector;
    };
    CHECK(document.diff(vector_of(34)));
    CHECK(document.diff(vector_of(35)).error().code == YjsErrc::update_too_large);
}

TEST_CASE("YjsDocument: the cost of merging stays in proportion to the updates",
          "[room][yjs_document][unit]") {
    const bool by_bytes = GENERATE(true, false);
    YjsDocument document{by_bytes ? YjsDocumentOptions{.pending_bytes_max = 1000}
                                  : YjsDocumentOptions{.pending_updates_max = 2}};
    std::size_t merges = 0;
    std::size_t merged = 0;
    const std::string text(500, 'x');
    for (std::uint64_t n = 0; n < 1000; ++n) {
        Bytes update = from_hex("0101");  // each of another client
        yjs::append_varuint(update, 1000 + n);
        const Bytes head = from_hex("0004010174");
        update.insert(update.end(), head.begin(), head.end());
        yjs::append_varbytes(update, as_bytes(text));
        update.push_back(std::byte{0});
        REQUIRE(!document.apply(update));
        if (document.status().pending_updates != 0) continue;
        ++merges;
        merged += document.bytes();
    }
    CHECK(merges > 10);
    // Each byte is merged a few times, and not once for every thousand bytes after it.
    CHECK(merged < (by_bytes ? 8U : 12U) * document.bytes());
}

TEST_CASE("YjsDocument::check returns whether an update adds anything",
          "[room][yjs_document][unit]") {
    YjsDocument document;
    CHECK(!adds(document, from_hex("0000")));
    CHECK(adds(document, letter(0)));
    for (std::uint64_t n = 0; n < 3; ++n) REQUIRE(!document.apply(letter(n)));
    // For updates that wait until they are merged, either result is allowed. It is exact after a
    // merge.
    const Bytes snapshot = whole(document);
    CHECK(!adds(document, snapshot));
    for (std::uint64_t n = 0; n < 3; ++n) CHECK(!adds(document, letter(n)));
    CHECK(adds(document, letter(3)));
    CHECK(adds(document, letter(2, "ab")));
    CHECK(adds(document, letter(7)));
    const Bytes deletes_second = from_hex(
        "00"
        "01"
        "07"
        "01"
        "0101");
    CHECK(adds(document, deletes_second));
    REQUIRE(!document.apply(deletes_second));
    static_cast<void>(document.snapshot());
    CHECK(!adds(document, deletes_second));
    CHECK(adds(document, from_hex("00"
                                  "01"
                                  "07"
                                  "01"
                                  "0102")));
    CHECK(adds(document, from_hex("00"
                                  "01"
                                  "08"
                                  "01"
                                  "0101")));
    // An update after a gap, and then one in the gap.
    REQUIRE(!document.apply(letter(5)));
    CHECK(to_hex(document.state_vector()) == "010703");
    CHECK(document.status().gaps == 1);
    CHECK(!adds(document, letter(5)));
    CHECK(adds(document, letter(4)));
}

TEST_CASE("YjsDocument counts a client id that was used twice as a conflict",
          "[room][yjs_document][unit]") {
    YjsDocument document;
    REQUIRE(!document.apply(letter(0, "a")));
    REQUIRE(!document.apply(letter(0, "x")));
    CHECK(document.status().conflicts == 0);
    static_cast<void>(document.snapshot());
    CHECK(document.status().conflicts == 1);
}

TEST_CASE("YjsDocument rejects malformed updates, and oversized ones of clients",
          "[room][yjs_document][fault]") {
    YjsDocument document{{.limits = {.bytes_max = 50}, .bytes_max = 60}};
    CHECK(document.check(from_hex("01")).error().code == YjsErrc::malformed_update);
    CHECK(document.apply(from_hex("01")).code == YjsErrc::malformed_update);
    CHECK(document.diff(from_hex("01")).error().code == YjsErrc::malformed_state_vector);
    const Bytes large = letter(0, std::string(60, 'x').c_str());
    CHECK(document.check(large).error().code == YjsErrc::update_too_large);
    // Waiting letters take 12 bytes each: they are merged before the document is full.
    std::uint64_t n = 0;
    while (const auto checked = document.check(letter(n))) {
        REQUIRE(*checked);
        REQUIRE(!document.apply(letter(n)));
        REQUIRE(document.bytes() <= 60);
        ++n;
    }
    CHECK(n > 30);
    CHECK(document.check(letter(n)).error().code == YjsErrc::document_full);
    CHECK(document.status().pending_updates == 0);
    CHECK(!adds(document, letter(1)));
    // A stored document must be loaded, for any present limits.
    CHECK(!document.apply(letter(n, std::string(60, 'x').c_str())));
    CHECK(document.status().gaps == 0);
    const Bytes snapshot = whole(document);
    YjsDocument again{{.limits = {.bytes_max = 50}, .bytes_max = 60}};
    CHECK(!again.apply(snapshot));
    CHECK(whole(again) == snapshot);
}

TEST_CASE("YjsDocument is the same for any order, thresholds and repetitions",
          "[room][yjs_document][property]") {
    Random bits{Seed{9}};
    for (const auto& vector : yjs_vectors) {
        if (vector.name == "empty" || vector.name == "overlap-content-vs-deleted") continue;
        INFO(vector.name);
        for (int run = 0; run < 20; ++run) {
            YjsDocument document{{.pending_updates_max = 1 + uniform_upto(bits, 5)}};
            std::vector<std::string_view> updates = vector.updates;
            for (std::size_t i = updates.size(); i > 1; --i) {
                std::swap(updates[i - 1], updates[uniform_upto(bits, i - 1)]);
            }
            for (const auto hex : updates) {
                const Bytes update = from_hex(hex);
                for (std::uint64_t times = 1 + uniform_upto(bits, 1); times > 0; --times) {
                    REQUIRE(!document.apply(update));
                }
                // Damaged updates change nothing.
                const Bytes other = belay_test::mutated(update, update, bits);
                if (!yjs::validate(other)) CHECK(document.apply(other));
            }
            const YjsDocument copy = document;
            CHECK(to_hex(whole(document)) == vector.scrubbed);
            YjsDocument of_copy = copy;
            CHECK(to_hex(whole(of_copy)) == vector.scrubbed);
        }
    }
}

TEST_CASE("YjsDocument merges and joins in one step like the functions in turn",
          "[room][yjs_document][property]") {
    const auto compaction = GENERATE(Compaction::coalesce, Compaction::coalesce_and_scrub);
    Random bits{Seed{11}};
    std::size_t conflicts = 0;
    std::size_t gaps = 0;
    for (int run = 0; run < 2000; ++run) {
        const auto& vector = yjs_vectors[uniform_upto(bits, std::size(yjs_vectors) - 1)];
        INFO(vector.name << ", run " << run);
        YjsDocument document{{.compaction = compaction}};
        std::vector<Bytes> updates;
        for (const auto hex : vector.updates) {
            const Bytes update = from_hex(hex);
            // Updates cut in two ways, with false and well-formed content: overlaps, gaps,
            // conflicts.
            for (const Bytes& one :
                 {update, belay_test::mutated(update, update, bits),
                  yjs::diff_update(update,
                                   belay_test::mutated(from_hex(vector.state_vector), update, bits))
                      .value_or(Bytes(2))}) {
                if (!yjs::validate(one) || uniform_upto(bits, 4) == 0) continue;
                updates.push_back(one);
                REQUIRE(!document.apply(one));
            }
        }
        const auto merged = yjs::merge_updates(updates);
        REQUIRE(merged);
        CHECK(document.state_vector() == *yjs::state_vector(merged->update));
        auto joined = yjs::coalesce(merged->update);
        if (compaction == Compaction::coalesce_and_scrub) joined = yjs::scrub(*joined);
        REQUIRE(joined);
        const auto snapshot = document.snapshot();
        CHECK(to_hex(snapshot.empty() ? Bytes(2) : snapshot[0]) == to_hex(*joined));
        CHECK(to_hex(*document.diff(from_hex("00"))) ==
              to_hex(*yjs::diff_update(*joined, from_hex("00"))));
        CHECK(document.status().gaps == merged->gaps);
        CHECK(document.status().conflicts == merged->conflicts);
        for (const Bytes& one : updates) {
            if (merged->conflicts == 0) CHECK(!adds(document, one));
        }
        conflicts += merged->conflicts;
        gaps += merged->gaps;
    }
    CHECK(conflicts > 100);
    CHECK(gaps > 100);
}

TEST_CASE("YjsDocument: a full document accepts updates that it already has",
          "[room][yjs_document]") {
    YjsDocument document{{.bytes_max = 20}};
    REQUIRE(!document.apply(letter(0)));
    CHECK_FALSE(document.check(letter(0)).value_or(true));
    CHECK(document.check(letter(1)).error().code == YjsErrc::document_full);
}

TEST_CASE("YjsDocument: a value that is overwritten 1,000 times never fills the document",
          "[room][yjs_document][unit]") {
    YjsDocument document{{.bytes_max = std::size_t{1} << 20}};
    const std::string text(200'000, 'x');
    for (std::uint64_t n = 0; n < 1000; ++n) {
        const Bytes update = overwrite(n, text);
        REQUIRE(adds(document, update));
        REQUIRE(!document.apply(update));
        CHECK(document.bytes() < 2 * text.size() + 20'000);
    }
    CHECK(whole(document).size() < text.size() + 100);

    // Small values, too, do not wait until there are 500 of them.
    YjsDocument small;
    for (std::uint64_t n = 0; n < 400; ++n) {
        REQUIRE(!small.apply(overwrite(n, std::string(500, 'x'))));
        CHECK(small.bytes() < 18'000);
    }
}

TEST_CASE("YjsDocument: a document that is loaded full of deleted content accepts edits",
          "[room][yjs_document][regression]") {
    const std::string text(10'000, 'x');
    YjsDocument old{{.compaction = Compaction::coalesce}};
    for (std::uint64_t n = 0; n < 10; ++n) REQUIRE(!old.apply(overwrite(n, text)));
    const Bytes snapshot = whole(old);
    REQUIRE(snapshot.size() > 100'000);

    const YjsDocumentOptions options{.bytes_max = 50'000};
    YjsDocument kept{{.bytes_max = 50'000, .compaction = Compaction::coalesce}};
    REQUIRE(!kept.apply(snapshot));
    CHECK(kept.check(overwrite(10, "y")).error().code == YjsErrc::document_full);
    YjsDocument document{options};
    REQUIRE(!document.apply(snapshot));
    CHECK(adds(document, overwrite(10, "y")));
    REQUIRE(!document.apply(overwrite(10, "y")));
    CHECK(whole(document).size() < 100);
    CHECK(document.status().gaps == 0);
}

namespace {

/// Deletes letters of client 1.
Bytes deletion(std::uint64_t clock, std::uint64_t len) {
    Bytes update{std::byte{0}};
    for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{1}, std::uint64_t{1}, clock, len})
        yjs::append_varuint(update, n);
    return update;
}

}  // namespace

TEST_CASE("YjsDocument: updates that do not fit compact a document only if that may help",
          "[room][yjs_document][unit]") {
    YjsDocument document{{.bytes_max = 200'000}};
    REQUIRE(!document.apply(belay_test::typed(1, 0, std::string(150'000, 'x'))));
    REQUIRE(document.snapshot().size() == 1);
    const Bytes large = belay_test::typed(2, 0, std::string(60'000, 'y'));
    const auto is_full = [&] {
        const auto adds = document.check(large);
        return !adds.has_value() && adds.error().code == YjsErrc::document_full;
    };
    std::uint64_t clock = 0;
    // The waiting updates have fewer bytes than are missing.
    REQUIRE(!document.apply(belay_test::typed(3, clock++, "z")));
    CHECK(is_full());
    CHECK(document.status().pending_updates == 1);

    SECTION("a deletion may help once, and again for each 64th of the document that arrives") {
        REQUIRE(!document.apply(deletion(0, 1)));
        CHECK(is_full());
        CHECK(document.status().pending_updates == 0);
        int merges = 0;
        for (std::uint64_t i = 1; i <= 20; ++i) {
            REQUIRE(!document.apply(deletion(2 * i, 1)));
            CHECK(is_full());
            if (document.status().pending_updates == 0) ++merges;
        }
        CHECK(merges == 20);  // each has 60,000 bytes
        REQUIRE(!document.apply(belay_test::typed(4, 0, std::string(49'500, 'w'))));
        REQUIRE(document.snapshot().size() == 1);
        // Deletions permit updates, up to a 64th of the document. Their content is not there.
        const auto paste = [](std::uint64_t n) {
            return belay_test::typed(5, 500 * n, std::string(500, 'v'));
        };
        std::uint64_t pastes = 0;
        REQUIRE(!document.apply(deletion(1'000'000, 1)));
        for (; document.check(paste(pastes)).has_value(); ++pastes) {
            REQUIRE(!document.apply(paste(pastes)));
            REQUIRE(!document.apply(deletion(1'000'002 + 2 * pastes, 1)));
        }
        CHECK(pastes >= 6);
        CHECK(pastes < 10);
        merges = 0;
        for (std::uint64_t i = 0; i < 70; ++i) {
            REQUIRE(!document.apply(deletion(2'000'000 + 2 * i, 1)));
            REQUIRE_FALSE(document.check(paste(pastes)).has_value());
            if (document.status().pending_updates == 0) ++merges;
        }
        CHECK(merges >= 10);
        CHECK(merges <= 12);
    }
    SECTION("after a snapshot, a deletion may help at once") {
        REQUIRE(!document.apply(deletion(0, 1)));
        CHECK(is_full());
        REQUIRE(document.snapshot().size() == 1);
        REQUIRE(!document.apply(deletion(0, 100'000)));
        CHECK(document.check(large).value_or(false));
    }
}

TEST_CASE("YjsDocument: a paste that replaces deleted content fits, also without a snapshot",
          "[room][yjs_document][regression]") {
    YjsDocument document{{.bytes_max = 200'000}};
    const auto add = [&](const Bytes& update) {
        REQUIRE(adds(document, update));
        REQUIRE(!document.apply(update));
    };
    const auto is_full = [&](const Bytes& update) {
        const auto found = document.check(update);
        return !found.has_value() && found.error().code == YjsErrc::document_full;
    };
    SECTION("a text") {
        add(belay_test::typed(1, 0, std::string(195'000, 'x')));
        REQUIRE(document.snapshot().size() == 1);
        // Once after a snapshot, any deletion may help.
        REQUIRE(!document.apply(deletion(1'000'000, 1)));
        CHECK(is_full(belay_test::typed(2, 0, std::string(10'000, 'y'))));
        for (std::uint64_t i = 0; i < 10; ++i) {
            const Bytes paste = belay_test::typed(2 + i, 0, std::string(10'000, 'y'));
            CHECK(is_full(paste));
            // Deleting missing or deleted content makes no space.
            REQUIRE(!document.apply(deletion(1'000'000, 20'000)));
            if (i > 0) REQUIRE(!document.apply(deletion(0, i * 10'000)));
            CHECK(is_full(paste));
            add(deletion(i * 10'000, 10'000));
            // A join merges meanwhile.
            if (i % 2 == 1) static_cast<void>(document.state_vector());
            add(paste);
        }
    }
    SECTION("a large value") {
        add(belay_test::typed(1, 0, std::string(10'000, 'x')));
        add(overwrite(0, std::string(100'000, 'v')));
        add(belay_test::typed(2, 0, std::string(80'000, 'y')));
        REQUIRE(document.snapshot().size() == 1);
        REQUIRE(!document.apply(deletion(1'000'000, 1)));
        CHECK(is_full(belay_test::typed(3, 0, std::string(20'000, 'z'))));
        add(overwrite(1, "w"));
        add(belay_test::typed(3, 0, std::string(99'000, 'z')));
    }
}

TEST_CASE("YjsDocument: edits of a full document read it a constant number of times",
          "[room][yjs_document][regression]") {
    constexpr std::size_t most = std::size_t{1} << 20;
    YjsDocument document{{.bytes_max = most}};
    REQUIRE(!document.apply(belay_test::typed(1, 0, std::string(most - 200, 'x'))));
    REQUIRE(document.snapshot().size() == 1);
    const std::size_t letters = GENERATE(std::size_t{500}, std::size_t{1});
    const std::size_t rounds = letters == 1 ? 20'000 : 2'000;
    std::size_t arrived = 0;
    std::size_t read = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const Bytes removal = deletion(round * letters, letters);
        REQUIRE(adds(document, removal));
        REQUIRE(!document.apply(removal));
        const bool waits = document.status().pending_updates > 0;
        const Bytes paste = belay_test::typed(2, round * letters, std::string(letters, 'z'));
        REQUIRE(adds(document, paste));
        if (waits && document.status().pending_updates == 0) read += document.bytes();
        REQUIRE(!document.apply(paste));
        arrived += removal.size() + paste.size();
        REQUIRE(document.bytes() - document.bytes() / 64 <= most);
    }
    CHECK(read <= 128 * arrived);
}

TEST_CASE("YjsDocument: a document has limits of authors, of structs and of deleted ranges",
          "[room][yjs_document][unit]") {
    YjsDocument document{{.structs_max = 20, .clients_max = 10, .delete_ranges_max = 5}};
    const auto limit = [&](const Bytes& update) {
        const auto adds = document.check(update);
        return adds.has_value() ? std::string{} : std::string{adds.error().what};
    };
    const auto add = [&](const Bytes& update) {
        REQUIRE(limit(update).empty());
        REQUIRE(!document.apply(update));
    };
    SECTION("authors") {
        for (std::uint64_t author = 1; author <= 10; ++author)
            add(belay_test::typed(author, 0, "x"));
        CHECK(limit(belay_test::typed(11, 0, "x")) == "YjsDocumentOptions::clients_max");
        // The present authors can continue.
        REQUIRE(document.snapshot().size() == 1);
        add(belay_test::typed(3, 1, "y"));
        CHECK(limit(belay_test::typed(11, 0, "x")) == "YjsDocumentOptions::clients_max");
    }
    SECTION("structs, and gaps between them") {
        Bytes update = from_hex("0115050000");
        update.pop_back();
        update[1] = std::byte{21};
        for (int i = 0; i < 21; ++i) {
            update.push_back(std::byte{i % 2 == 0 ? std::uint8_t{0} : std::uint8_t{10}});
            update.push_back(std::byte{1});
        }
        update.push_back(std::byte{0});
        CHECK(limit(update) == "YjsDocumentOptions::structs_max");
        // Text that is typed letter by letter becomes one struct.
        for (std::uint64_t i = 0; i < 100; ++i) add(belay_test::typed(1, i, "x"));
    }
    SECTION("deleted ranges") {
        add(belay_test::typed(1, 0, std::string(1000, 'x')));
        for (std::uint64_t i = 0; i < 5; ++i) add(deletion(2 * i, 1));
        CHECK(limit(deletion(20, 1)) == "YjsDocumentOptions::delete_ranges_max");
        // A range that joins others makes space.
        REQUIRE(!document.apply(deletion(0, 11)));
        REQUIRE(document.snapshot().size() == 1);
        add(deletion(20, 1));
    }
}

TEST_CASE("YjsDocument: a document that was loaded above a limit stays editable",
          "[room][yjs_document][regression]") {
    YjsDocument old;
    for (std::uint64_t author = 1; author <= 80; ++author) {
        REQUIRE(!old.apply(belay_test::typed(author, 0, "xyz")));
    }
    for (std::uint64_t clock = 0; clock < 3; clock += 2) REQUIRE(!old.apply(deletion(clock, 1)));
    YjsDocument document{{.structs_max = 40, .clients_max = 40, .delete_ranges_max = 1}};
    REQUIRE(!document.apply(whole(old)));
    const auto is_full = [&](const Bytes& update) {
        const auto found = document.check(update);
        return !found.has_value() && found.error().code == YjsErrc::document_full;
    };
    // Altogether, an eighth of the option may be added.
    for (std::uint64_t author = 101; author <= 105; ++author) {
        const Bytes update = belay_test::typed(author, 0, "x");
        REQUIRE(adds(document, update));
        REQUIRE(!document.apply(update));
    }
    CHECK(is_full(belay_test::typed(106, 0, "x")));
    static_cast<void>(document.snapshot());
    CHECK(is_full(belay_test::typed(106, 0, "x")));
}

TEST_CASE("YjsDocument: updates that were checked before any was applied do not count as loaded",
          "[room][yjs_document][regression]") {
    YjsDocument document{{.clients_max = 10}};
    // In a new room, the edits of many clients are checked before the first of them is durable.
    std::vector<Bytes> updates;
    for (std::uint64_t author = 1; author <= 100; ++author)
        updates.push_back(belay_test::typed(author, 0, "x"));
    for (const Bytes& update : updates) REQUIRE(adds(document, update));
    for (const Bytes& update : updates) REQUIRE(!document.apply(update));
    CHECK(document.check(belay_test::typed(101, 0, "x")).error().code == YjsErrc::document_full);
    static_cast<void>(document.snapshot());
    CHECK(document.check(belay_test::typed(101, 0, "x")).error().code == YjsErrc::document_full);
}

TEST_CASE("YjsDocument: a document with too many bytes accepts updates that only delete",
          "[room][yjs_document][regression]") {
    YjsDocument document{{.bytes_max = 100, .delete_ranges_max = 2}};
    REQUIRE(!document.apply(belay_test::typed(1, 0, std::string(200, 'x'))));
    for (std::uint64_t clock = 0; clock < 4; clock += 2) {
        REQUIRE(adds(document, deletion(clock, 1)));
        REQUIRE(!document.apply(deletion(clock, 1)));
    }
    // Ranges without content cannot fill the memory.
    CHECK(document.check(deletion(1'000, 1)).error().code == YjsErrc::document_full);
}
