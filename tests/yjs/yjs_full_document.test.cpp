// SPDX-License-Identifier: MIT
// Goal: edits of a full document need time in proportion to their bytes, and deleted content makes
// space. Method: editors that delete and type, also like an attacker, and a count of the bytes that
// compactions read.
#include <belay/yjs/yjs_document.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using belay_test::deletion_of;
using belay_test::overwrite;
using belay_test::typed;

namespace {

constexpr std::size_t bytes_max = std::size_t{1} << 20;

/// Appends embedded values of `bytes` bytes, one struct each, to a text of an author.
Bytes embeds(std::uint64_t author, std::uint64_t first, std::uint64_t count, std::size_t bytes) {
    Bytes update;
    for (const std::uint64_t n : {std::uint64_t{1}, count, author, first})
        yjs::append_varuint(update, n);
    for (std::uint64_t clock = first; clock < first + count; ++clock) {
        update.push_back(std::byte{static_cast<std::uint8_t>(clock == 0 ? 5 : 0x85)});
        if (clock == 0) {
            for (const int b : {1, 1, 116}) update.push_back(static_cast<std::byte>(b));
        } else {
            yjs::append_varuint(update, author);
            yjs::append_varuint(update, clock - 1);
        }
        yjs::append_varbytes(update, as_bytes('"' + std::string(bytes, 'v') + '"'));
    }
    update.push_back(std::byte{0});
    return update;
}

/// A document, and the number of bytes that its compactions read.
class Measured {
public:
    explicit Measured(const Bytes& content) {
        REQUIRE(!document.apply(content));
        REQUIRE(document.snapshot().size() == 1);
        // After a snapshot, any deletion may help once.
        REQUIRE(!document.apply(deletion_of(1'000'000, 0, 1)));
        static_cast<void>(check(typed(1'000'000, 0, std::string(bytes_max, 'x'))));
        read = 0;
        arrived = 0;
    }

    /// Returns whether the document accepts an update. Each merge counts as one compaction.
    bool check(const Bytes& update) {
        const bool waits = document.status().pending_updates > 0;
        const bool fits = document.check(update).has_value();
        if (waits && document.status().pending_updates == 0) read += document.bytes();
        if (!fits) arrived += update.size();
        return fits;
    }
    bool add(const Bytes& update) {
        if (!check(update)) return false;
        const std::size_t waited = document.status().pending_updates;
        REQUIRE(!document.apply(update));
        if (document.status().pending_updates <= waited) read += document.bytes();
        arrived += update.size();
        return true;
    }

    YjsDocument document{{.bytes_max = bytes_max}};
    std::size_t read = 0;     ///< by compactions
    std::size_t arrived = 0;  ///< of updates
};

}  // namespace

TEST_CASE("YjsDocument: a deletion that is sent again causes no compaction",
          "[room][yjs_full_document][regression]") {
    const std::uint64_t letters = GENERATE(1U, 20U, 100U, 1'000U);
    const std::uint64_t overlap = GENERATE(0U, 1U);
    Measured room{typed(1, 0, std::string(bytes_max - 1'000, 'x'))};
    std::uint64_t typed_letters = 0;
    for (std::uint64_t round = 0; round < 500; ++round) {
        for (std::uint64_t i = 0; i < 60; ++i) {
            const std::uint64_t from = round * letters + (overlap != 0 ? i % letters : 0);
            REQUIRE(room.add(deletion_of(1, from, letters)));
        }
        const std::string text(200, 'z');
        if (room.add(typed(2, typed_letters, text))) typed_letters += text.size();
    }
    INFO(letters << " letters: read " << room.read << " of " << room.arrived);
    // 1,024 waiting updates are merged anyway, also if each has only 13 bytes.
    CHECK(room.read <= (64 + 80) * room.arrived);
}

TEST_CASE("YjsDocument: deleted units without content cause no compaction",
          "[room][yjs_full_document][regression]") {
    // A collected struct, and one of deleted content. Each claims 2^40 units.
    const std::uint64_t kind = GENERATE(0U, 1U);
    Measured room{typed(1, 0, std::string(bytes_max - 1'000, 'x'))};
    Bytes claims;
    for (const std::uint64_t n :
         {std::uint64_t{1}, std::uint64_t{1}, std::uint64_t{3}, std::uint64_t{0}, kind})
        yjs::append_varuint(claims, n);
    if (kind == 1) {
        for (const int b : {1, 1, 116}) claims.push_back(static_cast<std::byte>(b));
    }
    yjs::append_varuint(claims, std::uint64_t{1} << 40);
    claims.push_back(std::byte{0});
    REQUIRE(room.add(claims));
    static_cast<void>(room.document.state_vector());
    std::uint64_t typed_letters = 0;
    for (std::uint64_t round = 0; round < 500; ++round) {
        REQUIRE(room.add(deletion_of(3, round * 100'000, 100'000)));
        const std::string text(200, 'z');
        if (room.add(typed(2, typed_letters, text))) typed_letters += text.size();
    }
    INFO("read " << room.read << " of " << room.arrived);
    CHECK(room.read <= 64 * room.arrived);
}

TEST_CASE("YjsDocument: a full document accepts edits after half of it was deleted",
          "[room][yjs_full_document][regression]") {
    const std::size_t bytes = GENERATE(1U, 10U, 30U, 100U, 300U, 900U, 1'100U, 20'000U);
    INFO("values of " << bytes << " bytes");
    const std::uint64_t count = (bytes_max - 400) / (bytes + 10);
    Measured room{embeds(1, 0, count, bytes)};
    std::uint64_t n = 0;
    while (room.add(typed(2, n, std::string(500, 'x')))) n += 500;
    REQUIRE(room.add(deletion_of(1, count / 4, count / 2 + 1)));
    REQUIRE(room.add(typed(2, n, std::string(500, 'x'))));
    n += 500;
    // The same repeats while there is space.
    for (; n < bytes_max / 2 - 40'000; n += 500)
        REQUIRE(room.add(typed(2, n, std::string(500, 'x'))));
}

TEST_CASE("YjsDocument: a value of a full document can be replaced again and again",
          "[room][yjs_full_document][regression]") {
    // Values below, at and above the size that does not count for the limit.
    const std::size_t bytes = GENERATE(100U, 5'000U, 16'000U, 17'000U, 40'000U);
    INFO("values of " << bytes << " bytes");
    Measured room{typed(1, 0, std::string(bytes_max - 2 * bytes - 2'000, 'x'))};
    for (std::uint64_t n = 0; n < 400; ++n) {
        Bytes update = embeds(2, n, 1, bytes);
        if (n > 0) {
            // In the form of Yjs: the new value and the deletion of the old one in one update.
            update.pop_back();
            const Bytes removal = deletion_of(2, n - 1, 1);
            update.insert(update.end(), removal.begin() + 1, removal.end());
        }
        REQUIRE(room.add(update));
        REQUIRE(room.document.bytes() <= bytes_max + bytes_max / 64 + 64);
    }
    CHECK(room.read <= 144 * room.arrived);
}

TEST_CASE("YjsDocument: an update that shrinks a document above its limit fits",
          "[room][yjs_full_document][regression]") {
    YjsDocument document{{.bytes_max = bytes_max}};
    REQUIRE(!document.apply(overwrite(0, std::string(10'000, 'v'))));
    REQUIRE(!document.apply(typed(1, 0, std::string(bytes_max - 10'050, 'x'))));
    REQUIRE(document.snapshot().size() == 1);
    const auto add = [&](const Bytes& update) {
        REQUIRE(document.check(update).has_value());
        REQUIRE(!document.apply(update));
    };
    add(deletion_of(1, 5, 1));
    add(typed(2, 0, std::string(60, 'y')));
    REQUIRE(document.snapshot().size() == 1);
    REQUIRE(document.bytes() > bytes_max);
    add(overwrite(1, "short text"));
}

TEST_CASE("YjsDocument: a deletion makes space before it is applied",
          "[room][yjs_full_document][regression]") {
    YjsDocument document{{.bytes_max = bytes_max}};
    REQUIRE(!document.apply(typed(1, 0, std::string(bytes_max - 20, 'x'))));
    REQUIRE(document.snapshot().size() == 1);
    const Bytes text = typed(2, 0, "hello");
    REQUIRE(!document.check(typed(2, 0, std::string(100, 'y'))).has_value());
    REQUIRE(document.check(deletion_of(1, 0, 1'000)).has_value());
    CHECK(document.check(text).has_value());
}

TEST_CASE("YjsDocument: a rejected update causes one compaction",
          "[room][yjs_full_document][regression]") {
    Measured room{typed(1, 0, std::string(bytes_max - 1'000, 'x'))};
    // An update beyond the space that a deletion permits.
    REQUIRE(room.add(deletion_of(1, 0, 1)));
    REQUIRE(room.add(typed(9, 0, std::string(bytes_max / 64 + 900, 'y'))));
    REQUIRE(room.document.snapshot().size() == 1);
    for (std::uint64_t round = 0; round < 100; ++round) {
        REQUIRE(room.add(deletion_of(1, 6 * round + 10, 1)));
        REQUIRE(!room.add(typed(8, 0, std::string(bytes_max / 64 + 1'000, 'y'))));
        REQUIRE(room.add(deletion_of(1, 6 * round + 12, 1)));
        REQUIRE(!room.add(typed(7, 0, std::string(1'000, 'z'))));
    }
    INFO("read " << room.read << " of " << room.arrived);
    CHECK(room.read <= 72 * room.arrived);
}

TEST_CASE("YjsDocument: a known author causes no compaction at the limit of authors",
          "[room][yjs_full_document][regression]") {
    YjsDocument document{{.clients_max = 10}};
    for (std::uint64_t author = 1; author <= 10; ++author) {
        REQUIRE(document.check(typed(author, 0, "x")).has_value());
        REQUIRE(!document.apply(typed(author, 0, "x")));
    }
    REQUIRE(document.snapshot().size() == 1);
    const std::uint64_t merges = document.status().merges;
    CHECK(document.check(typed(3, 1, "y")).has_value());
    CHECK(document.status().merges == merges);
}
