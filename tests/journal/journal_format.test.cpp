// SPDX-License-Identifier: MIT
// Goal: the bytes of a journal never change by accident. Method: golden bytes, round trips.
#include <belay/journal/journal_format.hpp>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"

using namespace belay;
namespace format = belay::journal_format;

namespace {

format::SegmentHeader example_header() {
    format::SegmentHeader h;
    for (std::size_t i = 0; i < 16; ++i) {
        h.journal[i] = static_cast<std::byte>(i);
        h.pin[i] = static_cast<std::byte>(0xF0 + i);
    }
    h.index = 2;
    h.first = 0x0102030405060708;
    h.check = 0x1112131415161718;
    h.acked = 0x2122232425262728;
    h.run = 0x31323334;
    h.salt = 0x41424344;
    h.nonce = 0x51525354;
    h.segment_bytes = 4096;
    h.previous_seal = 0x61626364;
    h.made_bytes = 0x71727374;
    return h;
}

}  // namespace

TEST_CASE("SegmentHeader has its golden bytes", "[journal][journal_format][golden]") {
    CHECK(belay_test::to_hex(format::encode(example_header())) ==
          "62656c61792f6a0a0200000080000000000102030405060708090a0b0c0d0e0f"
          "0200000000000000080706050403020118171615141312112827262524232221"
          "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff34333231444342415453525100100000"
          "000000000000000064636261747372710000000000000000000000003bd956d1");
}

TEST_CASE("Seal has its golden bytes", "[journal][journal_format][golden]") {
    const std::vector<format::Opening> openings{{0x0102030405060708, 0x11121314, 0x21222324},
                                                {9, 8, 7}};
    const std::vector<format::Mark> marks{{0x3132333435363738, 0x41424344}};
    const Bytes seal = format::encode_seal(0x5152535455565758, openings, marks);
    CHECK(belay_test::to_hex(seal) ==
          "58575655545352510200000001000000"  // check, counts
          "08070605040302011413121124232221"
          "09000000000000000800000007000000"  // openings
          "383736353433323144434241");        // a mark
    CHECK(belay_test::to_hex(format::encode_seal(1, {}, {})) == "01000000000000000000000000000000");
}

TEST_CASE("Seal is decoded as it was encoded, or not at all",
          "[journal][journal_format][property]") {
    CHECK(rc::check("decode(encode(s)) == s", [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        format::Seal seal{bits(), {}, {}};
        seal.openings.resize(bits() % 5);
        for (format::Opening& o : seal.openings) {
            o = {bits(), static_cast<std::uint32_t>(bits()), static_cast<std::uint32_t>(bits())};
        }
        seal.marks.resize(bits() % 5);
        for (format::Mark& m : seal.marks) m = {bits(), static_cast<std::uint32_t>(bits())};
        Bytes bytes = format::encode_seal(seal.check, seal.openings, seal.marks);
        RC_ASSERT(bytes.size() ==
                  format::seal_payload_bytes(seal.openings.size(), seal.marks.size()));
        const auto decoded = format::decode_seal(bytes);
        RC_ASSERT(decoded.has_value());
        RC_ASSERT(*decoded == seal);
        // Another length, and counts that do not fit the length, also near the maximum of 32 bits.
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            RC_ASSERT(format::decode_seal({bytes.data(), length}).error() == QueueErrc::corrupt);
        }
        const std::size_t count = seed % 2 == 0 ? 8 : 12;
        const auto was = load_le<std::uint32_t>(bytes.data() + count);
        for (const std::uint32_t other : {was + 1, was - 1, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
            store_le<std::uint32_t>(bytes.data() + count, other);
            RC_ASSERT(format::decode_seal(bytes).error() == QueueErrc::corrupt);
        }
    }));
}

TEST_CASE("SegmentHeader is decoded as it was encoded", "[journal][journal_format][unit]") {
    const auto decoded = format::decode_segment_header(format::encode(example_header()));
    REQUIRE(decoded);
    CHECK(*decoded == example_header());
}

TEST_CASE("decode_segment_header distinguishes foreign files, other versions and damage",
          "[journal][journal_format][unit]") {
    const auto with = [](std::size_t at, std::uint8_t value, bool fix_crc) {
        auto bytes = format::encode(example_header());
        bytes[at] = static_cast<std::byte>(value);
        if (fix_crc) store_le<std::uint32_t>(bytes.data() + 124, part::crc32c({bytes.data(), 124}));
        return format::decode_segment_header(bytes).error();
    };
    CHECK(with(0, 'B', true) == QueueErrc::foreign_file);
    CHECK(with(8, 0, true) == QueueErrc::other_version);
    CHECK(with(8, 1, true) == QueueErrc::other_version);
    CHECK(with(8, 3, false) == QueueErrc::other_version);
    CHECK(with(96, 1, true) == QueueErrc::other_version);
    CHECK(with(40, 1, false) == QueueErrc::corrupt);
    const auto bytes = format::encode(example_header());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        CHECK(format::decode_segment_header({bytes.data(), length}).error() == QueueErrc::corrupt);
    }
}

TEST_CASE("decode_segment_header detects every flipped bit", "[journal][journal_format][unit]") {
    for (std::size_t bit = 0; bit < 128 * 8; ++bit) {
        auto bytes = format::encode(example_header());
        bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        CHECK_FALSE(format::decode_segment_header(bytes));
    }
}

TEST_CASE("RecordHeader is decoded as it was encoded", "[journal][journal_format][property]") {
    CHECK(rc::check("decode(encode(h)) == h", [](std::uint32_t crc, std::uint32_t length,
                                                 std::uint64_t number, std::uint32_t durable,
                                                 std::uint8_t kind, std::uint32_t full_run) {
        const std::uint32_t run = format::run_in_record(full_run);
        std::array<std::byte, format::record_header_bytes> bytes;
        format::encode({crc, length, number, durable, static_cast<format::Kind>(kind), run},
                       bytes.data());
        const format::RecordHeader h = format::decode_record_header(bytes.data());
        RC_ASSERT(h.crc == crc);
        RC_ASSERT(h.length == length);
        RC_ASSERT(h.number == number);
        RC_ASSERT(h.durable == durable);
        RC_ASSERT(static_cast<std::uint8_t>(h.kind) == kind);
        RC_ASSERT(h.run == run);
    }));
}

TEST_CASE("record_crc of equal bytes differs between places and between files",
          "[journal][journal_format][property]") {
    CHECK(
        rc::check("the checksum differs at another offset and under another nonce",
                  [](std::uint64_t number, std::uint32_t crc, std::uint32_t nonce, std::uint32_t a,
                     std::uint32_t b) {
                      RC_PRE(a != b);
                      std::array<std::byte, format::record_header_bytes> bytes;
                      format::encode({0, 5, number, 128, format::Kind::operation, 1}, bytes.data());
                      const auto crc_of = [&](std::uint32_t n, std::uint32_t offset) {
                          const std::uint32_t seed = format::record_seed(n, offset);
                          RC_ASSERT(format::nonce_of(seed, offset) == n);
                          return format::record_crc(bytes.data(), crc, seed);
                      };
                      RC_ASSERT(crc_of(nonce, a) != crc_of(nonce, b));
                      RC_ASSERT(crc_of(a, nonce) != crc_of(b, nonce));
                  }));
}

TEST_CASE("seed_by_crc finds the seed of a record", "[journal][journal_format][property]") {
    CHECK(rc::check(
        "seed_by_crc(crc under s, crc under 0) == s",
        [](std::uint64_t number, std::uint32_t crc, std::uint32_t seed) {
            std::array<std::byte, format::record_header_bytes> bytes;
            format::encode({0, 5, number, 128, format::Kind::operation, 1}, bytes.data());
            const std::uint32_t under_0 = format::record_crc(bytes.data(), crc, 0);
            RC_ASSERT(format::seed_by_crc(format::record_crc(bytes.data(), crc, seed), under_0) ==
                      seed);
        }));
}

TEST_CASE("segment_name and segment_index are inverse", "[journal][journal_format][property]") {
    CHECK(format::segment_name(0x1f) == "000000000000001f.journal");
    CHECK(rc::check("index(name(i)) == i", [](std::uint64_t index) {
        RC_ASSERT(format::segment_index(format::segment_name(index)) == index);
    }));
    for (const char* other :
         {"lock", "segment.tmp", "1f.journal", "000000000000001F.journal",
          "000000000000001g.journal", "000000000000001f.journa", "x00000000000001f.journal",
          "000000000000001f.journal~", "0000000000000000.journal"}) {
        CHECK(format::segment_index(other) == 0);
    }
}

TEST_CASE("A small journal has its golden bytes", "[journal][journal_format][golden]") {
    sim::Disk disk;
    {
        auto journal = Journal<sim::Disk>::open(
            disk, "q", {.segment_bytes = 4096, .record_bytes_max = 64, .seed = Seed{1}});
        REQUIRE(journal);
        Id store{};
        store[0] = std::byte{0xAA};
        REQUIRE(journal->append(as_bytes("hello")));
        REQUIRE_FALSE(journal->commit());
        REQUIRE(journal->append({}));
        REQUIRE_FALSE(journal->pin_store(store));
        REQUIRE_FALSE(journal->ack(1));
        REQUIRE_FALSE(journal->keep(as_bytes("note")));
    }
    {
        auto journal = Journal<sim::Disk>::open(
            disk, "q", {.segment_bytes = 4096, .record_bytes_max = 64, .seed = Seed{1}});
        REQUIRE(journal);
        disk.kill();
    }
    const Bytes bytes = disk.contents("q/0000000000000001.journal");
    REQUIRE(bytes.size() == 4096);
    CHECK(
        belay_test::to_hex(BytesView{bytes}.first(384)) ==
        "62656c61792f6a0a02000000800000001e61397408ab415eeef16c3de96c8df1"  // header
        "010000000000000001000000000000001e61397408ab415e0000000000000000"
        "0000000000000000000000000000000001000000788d7e32a92b329300100000"
        "0000000000000000000000008000000000000000000000000000000083b93750"
        "d1e328a1050000000100000000000000800000000101000068656c6c6f000000"  // operation 1, "hello"
        "2b76163a000000000200000000000000a000000001010000"                  // operation 2, empty
        "35c02878100000000000000000000000a000000004010000aa000000000000000000000000000000"  // pin
        "19b98434040000000000000000000000e0000000060100006e6f746500000000"  // note, "note"
        "fb8e2abc000000000100000000000000e000000003010000"                  // ack 1, at the close
        "e65d47f00000000001000000000000001801000003010000"                  // mark of the close
        "1795415b040000000200000000000000800000000202000023b0739a00000000"  // opening of run 2
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000");
    for (std::size_t i = 336; i < bytes.size(); ++i) REQUIRE(bytes[i] == std::byte{0});
}

TEST_CASE("A sealed segment and the next one have their golden bytes",
          "[journal][journal_format][golden]") {
    sim::Disk disk;
    const JournalOptions options{.segment_bytes = 4096, .record_bytes_max = 1024, .seed = Seed{1}};
    for (int run = 0; run < 2; ++run) {
        auto journal = Journal<sim::Disk>::open(disk, "q", options);
        REQUIRE(journal);
        REQUIRE_FALSE(journal->keep(as_bytes("note")));
        for (int i = 0; i < (run == 0 ? 70 : 30); ++i) {
            REQUIRE(journal->append(as_bytes("0123456")));
        }
    }
    const Bytes sealed = disk.contents("q/0000000000000001.journal");
    const Bytes next = disk.contents("q/0000000000000002.journal");
    const auto header = format::decode_segment_header(next);
    REQUIRE(header);
    CHECK(header->made_bytes == 160);
    CHECK(header->previous_seal == 2968);
    CHECK(belay_test::to_hex(BytesView{sealed}.subspan(2968, 96)) ==
          "9d2ada8a3800000055000000000000009809000005020000"  // seal behind operation 85
          "4dfaf53b9aa88d1c0100000002000000"                  // check; one opening, two marks
          "47000000000000000200000023b0739a"                  // run 2 begins with operation 71
          "1e61397408ab415ea0000000"                          // operation 1 is at 160,
          "05f61842b20b7deba0080000"                          // operation 65 at 2208
          "00000000000000000000000000000000");
    CHECK(belay_test::to_hex(BytesView{next}.first(192)) ==
          "62656c61792f6a0a02000000800000001e61397408ab415eeef16c3de96c8df1"  // header
          "020000000000000056000000000000004dfaf53b9aa88d1c0000000000000000"
          "000000000000000000000000000000000200000023b0739a8409823800100000"
          "0000000000000000980b0000a0000000000000000000000000000000da9f3345"
          "39b30ab704000000000000000000000000000000060200006e6f746500000000"    // note
          "54b0f508070000005600000000000000a0000000010200003031323334353600");  // operation 86
}
