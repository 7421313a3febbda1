// SPDX-License-Identifier: MIT
// Goal: memory is bounded by the number of bytes received, not by the counts that a peer writes,
// and the memory of stored rooms by their number. Method: a counting operator new during the
// worst inputs of the format, mutated inputs, awareness states, and the opening of ten thousand
// rooms.
#include <array>
#include <string>
#include <vector>

#include <belay/room/detail/client_connection.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/journal_rooms.hpp>
#include <belay/room/protocols.hpp>
#include <belay/yjs/yjs_document.hpp>
#include <belay/yjs/yjs_update.hpp>
#include "support/room/room_protocol_check.hpp"

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/hex.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/yjs/yjs_mutations.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using belay_test::Counting;
using belay_test::from_hex;

namespace {

template <class F>
std::int64_t peak_of(F&& f) {
    const Counting counting;
    f();
    return counting.peak();
}

/// The most that any function holds at once for this update, and its result.
std::int64_t peak_for(const Bytes& update) {
    const yjs::Limits none = yjs::Limits::none();
    const auto views = std::array{BytesView{update}, BytesView{update}};
    const Bytes empty(1);
    return std::max({
        peak_of([&] { static_cast<void>(yjs::validate(update, none)); }),
        peak_of([&] { static_cast<void>(yjs::merge_updates(std::span{views}, none)); }) / 2,
        peak_of([&] { static_cast<void>(yjs::state_vector(update, none)); }),
        peak_of([&] { static_cast<void>(yjs::diff_update(update, empty, none)); }),
        peak_of([&] { static_cast<void>(yjs::diff_update(empty, update, none)); }),
        peak_of([&] { static_cast<void>(yjs::coalesce(update, none)); }),
        peak_of([&] { static_cast<void>(yjs::scrub(update, none)); }),
        peak_of([&] { static_cast<void>(yjs::split_update(update, 1000, none)); }),
    });
}

/// n times `part`, between a count and an end.
Bytes repeated(const char* before, std::uint64_t n, const char* part, const char* after) {
    Bytes bytes = from_hex(before);
    yjs::append_varuint(bytes, n);
    const Bytes middle = from_hex(part);
    for (; n > 0; --n) bytes.insert(bytes.end(), middle.begin(), middle.end());
    const Bytes end = from_hex(after);
    bytes.insert(bytes.end(), end.begin(), end.end());
    return bytes;
}

// The factor is documented in yjs_update.hpp. Results, and amounts that are rounded up, are not
// part of it.
constexpr std::int64_t times_input = 16;

}  // namespace

TEST_CASE("The empty queues of a room and of a connection take no memory",
          "[room][allocation][unit]") {
    std::size_t answers = 0;
    bool empty = false;
    CHECK(peak_of([&] { empty = detail::ConnectionOutbox{answers}.empty(); }) == 0);
    CHECK(empty);
    CHECK(peak_of([&] { empty = detail::PendingUpdates{}.take_all().empty(); }) == 0);
    CHECK(empty);
}

TEST_CASE("yjs: memory is a small multiple of the worst inputs", "[room][allocation][fault]") {
    constexpr std::uint64_t many = 100'000;
    Bytes clients, started;
    yjs::append_varuint(clients, many);
    yjs::append_varuint(started, many);
    for (std::uint64_t id = many; id > 0; --id) {
        for (const std::uint64_t n : {std::uint64_t{0}, id % 100, std::uint64_t{0}}) {
            yjs::append_varuint(clients, n);
        }
        yjs::append_varuint(started, 1);
        yjs::append_varuint(started, id);
        for (const std::uint64_t n : {0U, 0U, 1U}) yjs::append_varuint(started, n);
    }
    started.push_back(std::byte{0});
    // A count of structs, then client and clock.
    const auto block_of = [](const char* part) {
        const std::size_t each = std::string_view{part} == "00010a01" ? 2 : 1;
        Bytes bytes = from_hex("01");
        yjs::append_varuint(bytes, many);
        const Bytes all = repeated("", many / each, part, "00");
        bytes.insert(bytes.end(), all.begin() + 3, all.end());
        const Bytes id = from_hex("0700");
        bytes.insert(bytes.begin() + 4, id.begin(), id.end());
        return bytes;
    };
    const Bytes structs = block_of("0001");
    REQUIRE(yjs::validate(structs)->structs == many);
    const Bytes subdocuments = block_of(
        "8909000167"
        "7600");
    REQUIRE(yjs::validate(subdocuments)->subdocuments.size() == many);
    const Bytes gaps = block_of("00010a01");
    REQUIRE(yjs::validate(gaps)->gaps() == many / 2);
    // A key that was set so often, although no update deletes the values before the last one.
    Bytes values = from_hex("01");
    yjs::append_varuint(values, many);
    for (const char* const part : {"0700", "2701016d016b01"}) {
        const Bytes bytes = from_hex(part);
        values.insert(values.end(), bytes.begin(), bytes.end());
    }
    for (std::uint64_t n = 1; n < many; ++n) {
        for (const int b : {0x88, 7}) values.push_back(static_cast<std::byte>(b));
        yjs::append_varuint(values, n - 1);
        for (const int b : {1, 126}) values.push_back(static_cast<std::byte>(b));
    }
    values.push_back(std::byte{0});
    REQUIRE(yjs::scrub(values)->size() < 40);
    // Children of a deleted type, each of another client, which no delete set contains.
    Bytes children;
    yjs::append_varuint(children, many);
    for (std::uint64_t id = many; id > 1; --id) {
        yjs::append_varuint(children, 1);
        yjs::append_varuint(children, id);
        for (const int b : {0, 7, 0, 1, 0, 0}) children.push_back(static_cast<std::byte>(b));
    }
    const Bytes type = from_hex(
        "0101000701016100"
        "010101"
        "0001");
    children.insert(children.end(), type.begin(), type.end());
    REQUIRE(yjs::scrub(children)->size() > children.size());
    const std::pair<const char*, Bytes> worst[] = {
        {"values of a key", values},
        {"children of a deleted type", children},
        {"structs of two bytes", structs},
        {"empty blocks, many twice", clients},
        {"a client each", started},
        {"delete ranges of two bytes", repeated("000107", many, "0101", "")},
        {"delete sets of three bytes", repeated("00", many,
                                                "070100"
                                                "00",
                                                "")},
        {"clocks of two bytes", repeated("", many, "0101", "")},
        {"subdocuments", subdocuments},
        {"gaps", gaps},
        {"claims", from_hex("ffffffffffffff0f")},
        {"claims of structs", from_hex("01ffffffffffffff0f0700")},
        {"claims of ranges", from_hex("000107ffffffffffffff0f")},
    };
    for (const auto& [name, update] : worst) {
        const std::int64_t peak = peak_for(update);
        INFO(name << ": " << update.size() << " bytes, " << peak << " held");
        CHECK(peak <= times_input * static_cast<std::int64_t>(update.size()) + 2000);
    }
}

TEST_CASE("yjs: memory is a small multiple of mutated inputs", "[room][allocation][fault]") {
    Random bits{Seed{3}};
    for (const auto& vector : belay_test::yjs_vectors) {
        for (int i = 0; i < 100; ++i) {
            const Bytes update =
                belay_test::mutated(from_hex(vector.merged), from_hex(vector.updates[0]), bits);
            CHECK(peak_for(update) <=
                  times_input * static_cast<std::int64_t>(update.size()) + 2000);
        }
    }
}

TEST_CASE("yjs: a block longer than a piece is cut only when the next piece is requested",
          "[room][allocation][unit]") {
    constexpr std::size_t long_bytes = std::size_t{4} << 20;
    constexpr std::size_t piece_bytes = std::size_t{64} << 10;
    Bytes text = from_hex("0101070004010174");
    yjs::append_varbytes(text, as_bytes(std::string(long_bytes, 'x')));
    text.push_back(std::byte{0});
    Bytes list = from_hex("0101070008010174");
    yjs::append_varuint(list, long_bytes);
    list.insert(list.end(), long_bytes, std::byte{126});
    list.push_back(std::byte{0});
    for (const Bytes& update : {text, list}) {
        yjs::detail::Splitter splitter{update, piece_bytes};
        std::size_t pieces = 0;
        const Counting counting;
        while (const auto piece = splitter.next()) {
            ++pieces;
            REQUIRE(piece->size() <= piece_bytes);
        }
        CHECK(pieces == long_bytes / piece_bytes + 1);
        CHECK(counting.peak() < 8 * static_cast<std::int64_t>(piece_bytes));
    }
}

TEST_CASE("RoomAwareness does not hold states of other clients above its limit for one client",
          "[room][allocation][fault]") {
    const RoomOptions options;
    Bytes payload;
    yjs::append_varuint(payload, 10'000);
    for (std::uint64_t id = 1; id <= 10'000; ++id) {
        for (const std::uint64_t n : {id, std::uint64_t{1}}) yjs::append_varuint(payload, n);
        yjs::append_varbytes(payload, as_bytes("1"));
    }
    const Counting counting;
    ::belay::detail::RoomAwareness here{options};
    REQUIRE_FALSE(here.receive({1, "ada"}, payload, Instant{}));
    CHECK(here.size() == ::belay::detail::awareness_ids_max);
    CHECK(counting.held() < 4096);
    payload.pop_back();
    CHECK(here.receive({1, "ada"}, payload, Instant{}).code == RoomErrc::malformed_frame);
    CHECK(counting.held() < 4096);
}

TEST_CASE("JournalRooms opens ten thousand rooms without holding the contents of their updates",
          "[room][journal_rooms][unit]") {
    constexpr std::int64_t rooms_count = 10'000;
    constexpr std::int64_t update_bytes = 2000;
    sim::Disk disk;
    const auto open = [&] {
        JournalOptions options;
        options.seed = Seed{1};
        auto journal = belay_test::DiskJournal::open(disk, "log", options);
        REQUIRE(journal);
        auto rooms = belay_test::JournalRoomsOnDisk::open(disk, "rooms", std::move(*journal));
        REQUIRE(rooms);
        return std::move(*rooms);
    };
    const auto id_of = [](std::int64_t i) {
        return "0a1b2c3d-0000-4000-8000-0000" + std::to_string(10'000'000 + i);
    };
    {
        auto rooms = open();
        const Bytes update(update_bytes);
        for (std::int64_t i = 0; i < rooms_count; ++i) {
            REQUIRE((!rooms.reset(id_of(i), Id{}) && !rooms.append(id_of(i), update)));
        }
        REQUIRE(!belay_test::flushed(rooms));
    }
    const Counting counting;
    const auto rooms = open();
    INFO("held: " << counting.held() << ", at most: " << counting.peak());
    CHECK(counting.held() < rooms_count * 350 + (1 << 20));
    CHECK(counting.peak() < counting.held() + (4 << 20));
    CHECK(rooms.status().rooms == rooms_count);
    CHECK(rooms.status().log_bytes > rooms_count * update_bytes);
}

TEST_CASE("YjsProtocol::disjoint neither copies nor sorts the state vector of a client",
          "[room][allocation][fault]") {
    const YjsProtocol protocol;
    const Bytes ours = from_hex("0209040701");
    Bytes theirs = from_hex("a08d06");  // 100,000 clients
    for (int i = 0; i < 100'000; ++i) {
        for (const int b : {8, 1}) theirs.push_back(static_cast<std::byte>(b));
    }
    CHECK(peak_of([&] { CHECK(protocol.disjoint(ours, theirs)); }) < 10'000);
    // A document rejects a longer one, and this function does not read it.
    const Bytes longer = repeated("", 200'000, "0801", "");
    CHECK_FALSE(protocol.disjoint(ours, longer));
    CHECK(YjsDocument{}.diff(longer).error().code == YjsErrc::update_too_large);
}

TEST_CASE("The protocols of the library allocate little for a frame, malformed or not",
          "[room][allocation][fault]") {
    using Kind = part::RoomMessage::Kind;
    const std::vector<check::ClientFrame> yjs{
        {from_hex("00000100"), Kind::state_vector, from_hex("00"), ""}};
    const std::vector<check::ClientFrame> hocuspocus{
        {from_hex("0161020003746f6b"), Kind::token, from_hex("746f6b"), "a"}};
    const check::RoomProtocolOptions options{.mutations = 300,
                                             .allocated = [] { return belay_test::bytes_taken; }};
    const Counting counting;
    CHECK_FALSE(
        check::room_protocol([] { return YjsProtocol{}; }, YjsDocument{}, yjs, {}, {}, options));
    CHECK_FALSE(check::room_protocol([] { return HocuspocusProtocol{}; }, YjsDocument{}, hocuspocus,
                                     {}, {}, options));
    CHECK(belay_test::bytes_taken > 0);
}
