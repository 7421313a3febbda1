// SPDX-License-Identifier: MIT
// Goal: Encoded is a storage of values over one of bytes, and loses nothing when its codec
// fails. Method: check::storage, and codecs that reject and throw.
#include <belay/queue/encoded.hpp>

#include <algorithm>
#include <belay/journal/journal.hpp>
#include <belay/queue/priority.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/crash_points.hpp>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/queue/storage_conformance.hpp"
#include "support/sim/power_lost_at_end.hpp"

using namespace belay;
using belay_test::check_storage_conformance;

namespace {

struct Order {
    std::uint32_t number = 0;
    std::string text;
    friend bool operator==(const Order&, const Order&) = default;
};

/// Encodes a number as four bytes in little endian, and then the text. The number 0 cannot be
/// encoded or decoded.
struct OrderCodec {
    bool encode(const Order& order, Bytes& into) {
        if (order.number == 0) return false;
        into.resize(4);
        store_le(into.data(), order.number);
        const BytesView text = as_bytes(order.text);
        into.insert(into.end(), text.begin(), text.end());
        return true;
    }
    std::optional<Order> decode(BytesView bytes) {
        if (bytes.size() < 4) return std::nullopt;
        const auto number = load_le<std::uint32_t>(bytes.data());
        if (number == 0) return std::nullopt;
        return Order{number, std::string{as_text(bytes.subspan(4))}};
    }
};

/// An OrderCodec that throws on request.
struct ThrowingCodec : OrderCodec {
    enum class Fault { none, standard, no_memory } fault = Fault::none;

    void act() const {
        if (fault == Fault::standard) throw std::runtime_error{"no"};
        if (fault == Fault::no_memory) throw std::bad_alloc{};
    }
    bool encode(const Order& order, Bytes& into) {
        into.resize(1);  // a partial result
        act();
        return OrderCodec::encode(order, (into.clear(), into));
    }
    std::optional<Order> decode(BytesView bytes) {
        act();
        return OrderCodec::decode(bytes);
    }
};

using DiskJournal = Journal<sim::Disk>;

Order order(std::uint64_t i) {
    return {static_cast<std::uint32_t>(i + 1), std::string(i % 20, 'a') + std::to_string(i)};
}

Bytes bytes_of(const Order& value) {
    Bytes bytes;
    CHECK(OrderCodec{}.encode(value, bytes));
    return bytes;
}

DiskJournal open(sim::Disk& disk, JournalOptions options = {}) {
    auto journal = DiskJournal::open(disk, "q", options);
    REQUIRE(journal);
    return std::move(*journal);
}

/// A storage whose second overload may throw.
struct ThrowsForViews : Ring<Bytes> {
    using Ring<Bytes>::Ring;
    using Ring<Bytes>::try_push;
    bool try_push(BytesView) { throw std::runtime_error{"no connection"}; }
};
}  // namespace

static_assert(LeasableLike<Encoded<DiskJournal, OrderCodec>>);
static_assert(LeasableLike<Encoded<DiskJournal, OrderCodec, DiskJournal>>);
static_assert(std::is_same_v<decltype(Encoded{std::declval<DiskJournal>(), OrderCodec{}}),
                             Encoded<DiskJournal, OrderCodec, KeepDead>>);
static_assert(std::is_same_v<Encoded<DiskJournal, OrderCodec>::value_type, Order>);

TEST_CASE("check::storage finds no fault in Encoded over memory", "[queue][encoded][property]") {
    check_storage_conformance([] { return Encoded{Ring<Bytes>{7}, OrderCodec{}}; }, order);
    check_storage_conformance([] { return Encoded{Deque<Bytes>{100}, OrderCodec{}}; }, order);
    // A Priority rejects wrong uses of leases.
    struct OneLane {
        std::size_t operator()(const Bytes&) const noexcept { return 0; }
    };
    check_storage_conformance(
        [] {
            return Encoded{Priority{std::array{Deque<Bytes>{9}}, OneLane{}}, OrderCodec{}};
        },
        order);
}

TEST_CASE("check::storage_failures finds no fault in Encoded over a journal",
          "[queue][encoded][fault]") {
    const bool takes_effect = GENERATE(false, true);
    const JournalOptions options{.segment_bytes = 4096, .record_bytes_max = 64, .seed = Seed{1}};
    std::optional<sim::Disk> disk;
    std::uint64_t fails_at = 0;
    const auto fault = check::storage_failures(
        [&] {
            return disk.emplace(), Encoded{open(*disk, options), OrderCodec{}};
        },
        order,
        [&] {
            disk->crash(Random{Seed{fails_at}});
            return Encoded{open(*disk, options), OrderCodec{}};
        },
        [&](std::uint64_t n) {
            if (n == 0) return disk->mend(), disk->operations() >= fails_at;
            fails_at = disk->operations() + n;
            const std::error_code error = std::make_error_code(std::errc::io_error);
            takes_effect ? disk->fail_after(fails_at, error) : disk->fail_at(fails_at, error);
            return false;
        },
        {.steps = 100});
    CHECK(belay_test::text_of(fault) == "");
}

TEST_CASE("check::storage finds no fault in Encoded over a journal, also when it is reopened",
          "[queue][encoded][property]") {
    std::optional<sim::Disk> disk;
    check_storage_conformance(
        [&] {
            disk.emplace();
            return Encoded{
                open(*disk, {.segment_bytes = 4096, .record_bytes_max = 64, .seed = Seed{1}}),
                OrderCodec{}};
        },
        order,
        [&] {
            return Encoded{
                open(*disk, {.segment_bytes = 4096, .record_bytes_max = 64, .seed = Seed{2}}),
                OrderCodec{}};
        },
        {.histories = 20, .steps = 100, .fill = 200});
}

TEST_CASE("Encoded writes exactly the bytes of the codec", "[queue][encoded][unit]") {
    sim::Disk disk;
    Queue queue{Encoded{open(disk), OrderCodec{}}};
    const Order first{7, "seven"};
    CHECK_FALSE(queue.push(first));
    CHECK_FALSE(queue.push(Order{8, ""}));
    CHECK(first.text == "seven");
    const auto body = queue.storage().storage().front();
    REQUIRE(body);
    CHECK(to_bytes(*body) == bytes_of(first));
    CHECK_FALSE(queue.flush());
    CHECK(queue.storage().storage().durable() == 2);
    CHECK(queue.pop() == first);
    CHECK(queue.drain([](Order& value) { return value == Order{8, ""}; }).drained == 1);
}

TEST_CASE("Encoded rejects a value that the codec rejects, and writes nothing",
          "[queue][encoded][fault]") {
    sim::Disk disk;
    Queue queue{Encoded{open(disk), OrderCodec{}}};
    CHECK(queue.push(Order{0, "none"}) == QueueErrc::bad_encoding);
    CHECK(queue.empty());
    CHECK(queue.storage().storage().last() == 0);
    CHECK_FALSE(queue.push(Order{1, "one"}));
    CHECK(queue.pop() == Order{1, "one"});
}

TEST_CASE("Encoded treats an exception of the codec as a rejection", "[queue][encoded][fault]") {
    using Fault = ThrowingCodec::Fault;
    for (const bool in_memory : {false, true}) {
        sim::Disk disk;
        const auto check = [](auto make) {
            const auto expected = [](Fault fault) {
                return fault == Fault::no_memory
                           ? std::make_error_code(std::errc::not_enough_memory)
                           : make_error_code(QueueErrc::bad_encoding);
            };
            for (const Fault fault : {Fault::standard, Fault::no_memory}) {
                auto encoded = make(fault);
                CHECK(encoded.try_push(Order{1, "one"}) == expected(fault));
                CHECK(encoded.size() == 0);
                CHECK(encoded.storage().size() == 0);
            }
        };
        if (in_memory) {
            check([](Fault fault) { return Encoded{Deque<Bytes>{}, ThrowingCodec{{}, fault}}; });
        } else {
            check([&](Fault fault) { return Encoded{open(disk), ThrowingCodec{{}, fault}}; });
        }
    }
}

TEST_CASE("Encoded keeps bytes that it cannot decode until ack() removes them",
          "[queue][encoded][fault]") {
    sim::Disk disk;
    {
        DiskJournal journal = open(disk);
        REQUIRE(journal.append(as_bytes("?")));
        REQUIRE(journal.append(bytes_of(Order{2, "two"})));
    }
    Queue queue{Encoded{open(disk), OrderCodec{}}};
    CHECK(queue.storage().front().error() == QueueErrc::bad_encoding);
    CHECK_FALSE(queue.pop());
    CHECK_FALSE(queue.pop());
    const DrainReport result = queue.drain([](const Order&) { FAIL("there is no such order"); });
    CHECK(result.drained == 0);
    CHECK(result.error == QueueErrc::bad_encoding);
    CHECK(queue.size() == 2);
    const auto body = queue.storage().storage().front();
    REQUIRE(body);
    CHECK(as_text(*body) == "?");
    CHECK_FALSE(queue.storage().ack());
    CHECK(queue.size() == 1);
    CHECK(queue.pop() == Order{2, "two"});
    CHECK(queue.storage().front().error() == QueueErrc::queue_empty);
}

TEST_CASE("Encoded ends the lease of a value that it could not decode", "[queue][encoded][fault]") {
    // Leases a value only when no value is leased.
    struct Strict {
        using value_type = Bytes;
        Deque<Bytes> held{};
        bool lent = false;
        int mistakes = 0;

        bool try_push(Bytes&& bytes) noexcept { return held.try_push(std::move(bytes)); }
        std::optional<Bytes> try_pop() {
            lent = false;
            return held.try_pop();
        }
        std::size_t size() const noexcept { return held.size(); }
        std::size_t capacity() const noexcept { return held.capacity(); }
        Bytes* front() {
            mistakes += lent ? 1 : 0;
            lent = held.size() != 0;
            return held.front();
        }
        void ack() noexcept {
            mistakes += lent ? 0 : 1;
            lent = false;
            held.ack();
        }
        void nack() noexcept {
            mistakes += lent ? 0 : 1;
            lent = false;
        }
    };
    Encoded encoded{Strict{}, OrderCodec{}};
    CHECK(encoded.storage().try_push(Bytes(1)));
    CHECK_FALSE(encoded.try_push(Order{5, "five"}));
    CHECK_FALSE(encoded.front());
    CHECK_FALSE(encoded.front());
    CHECK_FALSE(encoded.try_pop());
    encoded.ack();
    CHECK(encoded.try_pop() == Order{5, "five"});
    CHECK_FALSE(encoded.front());
    CHECK_FALSE(encoded.storage().lent);
    CHECK(encoded.storage().mistakes == 0);
}

TEST_CASE("Encoded reports a codec that throws while decoding, and a lack of memory separately",
          "[queue][encoded][fault]") {
    using Fault = ThrowingCodec::Fault;
    for (const Fault fault : {Fault::standard, Fault::no_memory}) {
        Deque<Bytes> held{};
        REQUIRE(held.try_push(bytes_of(Order{1, "one"})));
        Encoded encoded{std::move(held), ThrowingCodec{{}, fault}};
        if (fault == Fault::no_memory) {
            CHECK_THROWS_AS(encoded.front(), std::bad_alloc);
            CHECK_THROWS_AS(encoded.try_pop(), std::bad_alloc);
        } else {
            CHECK(encoded.front().error() == QueueErrc::bad_encoding);
            CHECK_FALSE(encoded.try_pop());
        }
        CHECK(encoded.size() == 1);
    }
}

TEST_CASE("Encoded passes on the storage's errors", "[queue][encoded][fault]") {
    sim::Disk disk;
    Encoded encoded{open(disk, {.record_bytes_max = 8}), OrderCodec{}};
    CHECK(encoded.try_push(Order{1, "far too long"}) == QueueErrc::too_large);
    CHECK_FALSE(encoded.try_push(Order{1, "one"}));
    CHECK_FALSE(encoded.commit());
    auto file = disk.open("q/0000000000000001.journal", OpenMode::write);
    REQUIRE(file);
    REQUIRE_FALSE(file->write(0, Bytes(4096)));
    CHECK(encoded.front().error() == QueueErrc::corrupt);
    CHECK_FALSE(encoded.try_pop());
    CHECK(encoded.size() == 1);

    Encoded full{Ring<Bytes, 1>{}, OrderCodec{}};
    CHECK_FALSE(full.try_push(Order{1, ""}));
    CHECK(full.try_push(Order{2, ""}) == QueueErrc::queue_full);
    CHECK(full.size() == 1);
}

namespace {

/// The values that a storage over a disk returns before an operation of the disk fails, and those
/// that it has afterwards.
struct PopOutcome {
    std::vector<std::uint32_t> given;
    std::vector<std::uint32_t> left;
    friend bool operator==(const PopOutcome&, const PopOutcome&) = default;
};

Order as_order(const Bytes& bytes) { return *OrderCodec{}.decode(bytes); }
const Order& as_order(const Order& order) { return order; }

template <class Wrap>
PopOutcome with_failure(std::uint64_t failing, Wrap wrap) {
    const JournalOptions options{.segment_bytes = 4096,
                                 .record_bytes_max = 1024,
                                 .after_failure = JournalOptions::AfterFailure::stops,
                                 .seed = Seed{1}};
    sim::Disk disk;
    PopOutcome outcome;
    {
        auto storage = wrap(open(disk, options));
        for (std::uint32_t i = 1; i <= 20; ++i) {
            DiskJournal& journal = [&]() -> DiskJournal& {
                if constexpr (requires { storage.storage(); }) {
                    return storage.storage();
                } else {
                    return storage;
                }
            }();
            REQUIRE(journal.append(bytes_of(Order{i, std::string(900, 'x')})));
        }
        disk.fail_at(disk.operations() + failing, std::make_error_code(std::errc::io_error));
        while (const auto value = storage.try_pop()) {
            outcome.given.push_back(as_order(*value).number);
        }
    }
    disk.kill();
    DiskJournal again = open(disk, options);
    while (const auto value = again.try_pop()) outcome.left.push_back(as_order(*value).number);
    return outcome;
}

}  // namespace

TEST_CASE("Encoded's pop on a failing disk returns the same as the storage's own pop",
          "[queue][encoded][fault]") {
    int differ = 0;
    for (std::uint64_t failing = 1; failing <= 20; ++failing) {
        const PopOutcome plain = with_failure(failing, [](DiskJournal j) { return j; });
        const PopOutcome encoded = with_failure(failing, [](DiskJournal j) {
            return Encoded{std::move(j), OrderCodec{}};
        });
        REQUIRE(encoded == plain);
        differ += plain.given.size() == 20 ? 0 : 1;
    }
    CHECK(differ > 0);
}

namespace {

/// A storage of dead letters, which a test makes accept or reject, and which counts.
struct Letters {
    std::vector<std::string> texts{};
    bool takes = true;
    std::error_code sync_error{};
    int syncs = 0;

    std::error_code try_push(Bytes&& letter) {
        if (!takes) return make_error_code(QueueErrc::queue_full);
        texts.emplace_back(as_text(letter));
        return {};
    }
    std::error_code commit() {
        ++syncs;
        return sync_error;
    }
};

/// Makes values that cannot be decoded where the text begins with "?".
Deque<Bytes> held(const std::vector<std::string>& texts) {
    Deque<Bytes> deque;
    std::uint32_t number = 0;
    for (const std::string& text : texts) {
        ++number;
        const bool poison = text.starts_with('?');
        const Bytes letter = to_bytes(text);
        REQUIRE(deque.try_push(poison ? letter : bytes_of(Order{number, text})));
    }
    return deque;
}

using Texts = std::vector<std::string>;

/// The text of the i-th letter.
std::string letter_text(std::uint32_t i) {
    std::string text = std::to_string(i);
    text.insert(text.begin(), '?');
    return text;
}

}  // namespace

TEST_CASE("Encoded moves values that it cannot decode to the dead letters, and continues",
          "[queue][encoded][unit]") {
    const auto make = [] {
        return Encoded{held({"?a", "?b", "c", "?d", "e"}), OrderCodec{}, Letters{}};
    };
    SECTION("with pops") {
        auto encoded = make();
        CHECK(encoded.try_pop() == Order{3, "c"});
        CHECK(encoded.dead_letters().texts == Texts{"?a", "?b"});
        CHECK(encoded.dead_letters().syncs == 2);
        CHECK(encoded.size() == 2);
        CHECK(encoded.try_pop() == Order{5, "e"});
        CHECK_FALSE(encoded.try_pop());
        CHECK(encoded.dead_letters().texts == Texts{"?a", "?b", "?d"});
    }
    SECTION("with leases") {
        auto encoded = make();
        CHECK(*encoded.front() == Order{3, "c"});
        encoded.nack();
        CHECK(*encoded.front() == Order{3, "c"});
        encoded.ack();
        CHECK(encoded.dead_letters().texts == Texts{"?a", "?b"});
        CHECK(*encoded.front() == Order{5, "e"});
        encoded.ack();
        CHECK(encoded.front().error() == QueueErrc::queue_empty);
        CHECK(encoded.dead_letters().texts == Texts{"?a", "?b", "?d"});
    }
    SECTION("with a drain") {
        Queue queue{make()};
        Texts observed;
        const auto see = [&](const Order& it) { observed.push_back(it.text); };
        CHECK(queue.drain(see, 1).drained == 1);
        CHECK(observed == Texts{"c"});
        // Two values waited, and one of them became a dead letter. That is no error.
        const DrainReport rest = queue.drain(see);
        CHECK(rest.drained == 1);
        CHECK_FALSE(rest.error);
        CHECK(observed == Texts{"c", "e"});
        CHECK(queue.empty());
        CHECK(queue.storage().dead_letters().texts == Texts{"?a", "?b", "?d"});
        // A failure of the executor does not touch them again.
        CHECK_FALSE(queue.push(Order{6, "f"}));
        CHECK(queue.drain([](const Order&) { return false; }).drained == 0);
        CHECK(queue.storage().dead_letters().texts.size() == 3);
    }
}

TEST_CASE("check::storage finds no fault in Encoded with dead letters",
          "[queue][encoded][property]") {
    check_storage_conformance(
        [] {
            return Encoded{Deque<Bytes>{100}, OrderCodec{}, Letters{}};
        },
        order);
}

TEST_CASE("Encoded treats a throwing codec as undecodable bytes, except for a lack of memory",
          "[queue][encoded][fault]") {
    using Fault = ThrowingCodec::Fault;
    Encoded encoded{held({"a"}), ThrowingCodec{{}, Fault::standard}, Letters{}};
    CHECK_FALSE(encoded.try_pop());
    CHECK(encoded.dead_letters().texts.size() == 1);
    Encoded short_of{held({"a"}), ThrowingCodec{{}, Fault::no_memory}, Letters{}};
    CHECK_THROWS_AS(short_of.try_pop(), std::bad_alloc);
    CHECK(short_of.dead_letters().texts.empty());
    CHECK(short_of.size() == 1);
}

TEST_CASE("Encoded keeps a value first that the dead letters reject, until they accept it",
          "[queue][encoded][fault]") {
    Queue queue{Encoded{held({"?a", "b"}), OrderCodec{}, Letters{.takes = false}}};
    const auto none = [](const Order&) { FAIL("nothing may overtake"); };
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(queue.pop());
        CHECK(queue.storage().front().error() == QueueErrc::bad_encoding);
        CHECK(queue.drain(none).error == QueueErrc::bad_encoding);
    }
    CHECK(queue.size() == 2);
    CHECK(queue.storage().dead_letters().texts.empty());
    CHECK(queue.storage().dead_letters().syncs == 0);
    queue.storage().dead_letters().takes = true;
    CHECK(queue.pop() == Order{2, "b"});
    CHECK(queue.storage().dead_letters().texts == Texts{"?a"});

    // A bounded storage whose try_push returns bool.
    Encoded full{held({"?a", "?b", "c"}), OrderCodec{}, Ring<Bytes, 1>{}};
    CHECK(full.front().error() == QueueErrc::bad_encoding);
    CHECK(full.size() == 2);
    CHECK(as_text(*full.dead_letters().try_pop()) == "?a");
    CHECK(full.try_pop() == Order{3, "c"});
    CHECK(as_text(*full.dead_letters().try_pop()) == "?b");

    // A program may also remove the value itself.
    Encoded given_up{held({"?a", "b"}), OrderCodec{}, Letters{.takes = false}};
    CHECK(given_up.front().error() == QueueErrc::bad_encoding);
    given_up.ack();
    CHECK(given_up.try_pop() == Order{2, "b"});
}

TEST_CASE(
    "Encoded removes nothing before its dead letter is durable, and pushes no dead letter twice",
    "[queue][encoded][fault]") {
    const std::error_code no_space = std::make_error_code(std::errc::no_space_on_device);
    Encoded encoded{held({"?a", "?a", "?b", "c"}), OrderCodec{}, Letters{.sync_error = no_space}};
    for (int i = 1; i <= 3; ++i) {
        CHECK(encoded.front().error() == QueueErrc::bad_encoding);
        CHECK(encoded.dead_letters().syncs == i);
        CHECK(encoded.size() == 4);
    }
    CHECK(encoded.dead_letters().texts == Texts{"?a"});
    encoded.dead_letters().sync_error = {};
    // Equal bytes are two dead letters.
    CHECK(*encoded.front() == Order{4, "c"});
    CHECK(encoded.dead_letters().texts == Texts{"?a", "?a", "?b"});
    encoded.ack();
    CHECK(encoded.size() == 0);
}

TEST_CASE("Encoded over lanes does not confuse one dead letter with another",
          "[queue][encoded][fault]") {
    // After its flush has failed, the letter's value is not the first one any more.
    struct ByMark {
        std::size_t operator()(const Bytes& bytes) const noexcept {
            return as_text(bytes) == "?a" ? 1 : 0;
        }
    };
    Priority lanes{std::array{Deque<Bytes>{9}, Deque<Bytes>{9}}, ByMark{}};
    REQUIRE(lanes.try_push(to_bytes("?a")));
    const std::error_code no_space = std::make_error_code(std::errc::no_space_on_device);
    Encoded encoded{std::move(lanes), OrderCodec{}, Letters{.sync_error = no_space}};
    CHECK_FALSE(encoded.front());
    REQUIRE(encoded.storage().try_push(to_bytes("?b")));
    encoded.dead_letters().sync_error = {};
    CHECK_FALSE(encoded.front());
    Texts texts = encoded.dead_letters().texts;
    std::sort(texts.begin(), texts.end());
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    CHECK(texts == Texts{"?a", "?b"});
    CHECK(encoded.size() == 0);
}

TEST_CASE("Encoded over lanes pops and removes the value that it has decoded",
          "[queue][encoded][regression]") {
    // The lanes take turns after each ack, and after each nack.
    struct ByLength {
        std::size_t operator()(const Bytes& bytes) const noexcept { return bytes.size() % 2; }
    };
    Priority lanes{std::array{Deque<Bytes>{9}, Deque<Bytes>{9}}, ByLength{}, {.in_a_row = 1}};
    const auto push = [&lanes](const Bytes& bytes) { REQUIRE(lanes.try_push(Bytes{bytes})); };
    for (std::uint32_t i = 1; i <= 3; ++i) {
        push(bytes_of(Order{i, "ab"}));
        push(bytes_of(Order{10 + i, "abc"}));
        push(Bytes(2, static_cast<std::byte>(i)));
        push(Bytes(3, static_cast<std::byte>(i)));
    }
    Encoded encoded{std::move(lanes), OrderCodec{}, Letters{}};
    std::vector<std::uint32_t> taken;
    while (const auto value = encoded.try_pop()) taken.push_back(value->number);
    std::sort(taken.begin(), taken.end());
    CHECK(taken == std::vector<std::uint32_t>{1, 2, 3, 11, 12, 13});
    Texts texts = encoded.dead_letters().texts;
    std::sort(texts.begin(), texts.end());
    CHECK(std::unique(texts.begin(), texts.end()) == texts.end());
    CHECK(texts.size() == 6);
    CHECK(encoded.size() == 0);
}

TEST_CASE("Encoded pushes no dead letter again when the storage cannot remove its value",
          "[queue][encoded][fault]") {
    struct FailingAck : Deque<Bytes> {
        using Deque::Deque;
        std::error_code ack() noexcept { return std::make_error_code(std::errc::io_error); }
    };
    FailingAck storage;
    REQUIRE(storage.try_push(Bytes{std::byte{'?'}}));
    Encoded encoded{std::move(storage), OrderCodec{}, Letters{}};
    for (int i = 0; i < 3; ++i) {
        CHECK(encoded.front().error() == std::errc::io_error);
        CHECK_FALSE(encoded.try_pop());
    }
    CHECK(encoded.dead_letters().texts == Texts{"?"});
    CHECK(encoded.size() == 1);
}

TEST_CASE("Encoded loses no bytes in a crash between its dead letters and itself",
          "[queue][encoded][sim]") {
    // Values that cannot be decoded are at random places. The power fails at every operation of a
    // drain, on a disk that holds both journals.
    const JournalOptions options{.segment_bytes = 4096, .record_bytes_max = 1024, .seed = Seed{1}};
    const auto open_at = [&options](sim::Disk& disk, const char* path) {
        auto journal = DiskJournal::open(disk, path, options);
        REQUIRE(journal);
        return std::move(*journal);
    };
    const auto is_poison = [](std::uint32_t i) { return i % 5 == 2 || i % 7 == 3; };
    constexpr std::uint32_t count = 24;
    using Executed = std::vector<std::uint32_t>;
    std::uint64_t prepared = 0;
    const auto run = [&](sim::Disk& disk, Executed& executed) {
        Queue queue{Encoded{open_at(disk, "q"), OrderCodec{}, open_at(disk, "dead")},
                    {.limit = no_limit}};
        prepared = disk.operations();
        const auto execute = [&](const Order& it) { executed.push_back(it.number); };
        // Drains some at a time, as a program that syncs sometimes does.
        while (queue.drain(execute, 3).drained == 3 && !queue.flush()) {
        }
    };
    const auto fill_and_run = [&](sim::Disk& disk) {
        {
            DiskJournal journal = open_at(disk, "q");
            for (std::uint32_t i = 1; i <= count; ++i) {
                const Order value{i, std::string(300, 'x')};
                REQUIRE(journal.append(is_poison(i) ? to_bytes(letter_text(i)) : bytes_of(value)));
            }
        }
        Executed executed;
        run(disk, executed);
        return executed;
    };
    sim::Disk whole;
    REQUIRE(fill_and_run(whole).size() > 0);
    Texts expected;
    for (std::uint32_t i = 1; i <= count; ++i) {
        if (is_poison(i)) expected.push_back(letter_text(i));
    }
    int doubled = 0;
    const auto recover = [&](sim::Disk& disk, Executed& executed) {
        run(disk, executed);
        for (std::uint32_t i = 1; i <= count; ++i) {
            if (!is_poison(i) && std::count(executed.begin(), executed.end(), i) == 0) return false;
        }
        // Each dead letter is there, in order. Some are there twice.
        DiskJournal dead = open_at(disk, "dead");
        Texts firsts;
        std::size_t letters = 0;
        for (; const auto letter = dead.try_pop(); ++letters) {
            const std::string text{as_text(*letter)};
            if (std::find(firsts.begin(), firsts.end(), text) == firsts.end()) {
                firsts.push_back(text);
            }
        }
        doubled += letters > expected.size() ? 1 : 0;
        return firsts == expected;
    };
    const std::uint64_t first_operation = prepared + 1;
    const auto report = sim::crash_points(
        fill_and_run, recover,
        {.drawn_max = 6, .enumerated_max = 4, .first_operation = first_operation});
    INFO(report.failure);
    CHECK(report);
    const std::uint64_t operations = report.operations + 1 - first_operation;
    CHECK(operations > 20);
    CHECK(doubled > 0);
}

TEST_CASE("Encoded counts equal dead letters one by one, also when a removal fails",
          "[queue][encoded][regression]") {
    // The storage has equal bytes that cannot be decoded, enough to empty files, and one order at
    // the end.
    constexpr std::size_t count = 12;
    int stood = 0;
    for (const Flush flush : {Flush::each, Flush::group}) {
        for (const std::errc error : {std::errc::no_space_on_device, std::errc::permission_denied,
                                      std::errc::no_such_file_or_directory}) {
            for (std::uint64_t failing = 1; failing <= 60; ++failing) {
                sim::Disk disk;
                Encoded encoded{open(disk, {.flush = flush,
                                            .segment_bytes = 4096,
                                            .record_bytes_max = 1024,
                                            .seed = Seed{failing}}),
                                OrderCodec{}, Deque<Bytes>{}};
                for (std::size_t i = 0; i < count; ++i) {
                    REQUIRE(encoded.storage().append(Bytes(900)));
                }
                REQUIRE_FALSE(encoded.try_push(Order{1, "one"}));
                REQUIRE_FALSE(encoded.commit());
                disk.fail_at(disk.operations() + failing, std::make_error_code(error));
                Result<Order> value = make_error_code(QueueErrc::queue_empty);
                for (int i = 0; i < 3 && !value && !encoded.storage().failed(); ++i) {
                    const std::size_t before = encoded.dead_letters().size();
                    value = encoded.front();
                    const std::size_t buried = encoded.dead_letters().size() - before;
                    const bool is_first = i == 0;
                    if (!value && is_first && encoded.size() == count + 1 - buried) ++stood;
                }
                if (encoded.storage().failed()) continue;
                INFO("operation " << failing);
                REQUIRE(value);
                REQUIRE(encoded.dead_letters().size() == count);
                REQUIRE(encoded.size() == 1);
            }
        }
    }
    CHECK(stood > 5);
}

TEST_CASE("Encoded counts a value that another consumer removed as removed",
          "[queue][encoded][regression]") {
    // Other consumers push and acknowledge, as in a stream on a server.
    struct Stream : Deque<Bytes> {
        Stream() = default;
        bool is_contended = true;
        std::error_code ack() noexcept {
            Deque<Bytes>::ack();
            if (!std::exchange(is_contended, false)) return {};
            CHECK(try_push(Bytes(7)));
            return make_error_code(QueueErrc::lease_ended);
        }
    };
    Encoded encoded{Stream{}, OrderCodec{}, Letters{}};
    REQUIRE(encoded.storage().try_push(Bytes(3)));
    REQUIRE(encoded.storage().try_push(Bytes(3)));
    CHECK(encoded.front().error() == QueueErrc::lease_ended);
    CHECK(encoded.size() == 2);
    CHECK(encoded.front().error() == QueueErrc::queue_empty);
    CHECK(encoded.dead_letters().texts.size() == 3);
}

TEST_CASE("Encoded makes dead letters durable by flush(), if they have one",
          "[queue][encoded][unit]") {
    struct Flushed : Letters {
        int flushes = 0;
        std::error_code flush_error{};
        std::error_code flush() {
            ++flushes;
            return flush_error;
        }
    };
    Encoded encoded{held({"?a", "b"}), OrderCodec{}, Flushed{}};
    encoded.dead_letters().flush_error = std::make_error_code(std::errc::io_error);
    CHECK(encoded.front().error() == QueueErrc::bad_encoding);
    CHECK(encoded.size() == 2);
    encoded.dead_letters().flush_error = {};
    CHECK(encoded.try_pop() == Order{2, "b"});
    CHECK(encoded.dead_letters().texts == Texts{"?a"});
    CHECK(encoded.dead_letters().flushes == 2);
    CHECK(encoded.dead_letters().syncs == 0);
}

TEST_CASE("Encoded loses no dead letter at a power loss, also into a journal with Flush::none",
          "[queue][encoded][regression]") {
    for (const Flush flush : {Flush::none, Flush::group, Flush::each}) {
        const JournalOptions options{
            .flush = flush, .segment_bytes = 4096, .record_bytes_max = 1024, .seed = Seed{1}};
        const auto open_at = [&options](sim::Disk& disk, const char* path) {
            auto journal = DiskJournal::open(disk, path, options);
            REQUIRE(journal);
            return std::move(*journal);
        };
        const auto report = belay_test::power_lost_at_end(
            [&](sim::Disk& disk) {
                Queue queue{Encoded{open_at(disk, "q"), OrderCodec{}, open_at(disk, "dead")}};
                REQUIRE(queue.storage().storage().append(as_bytes("?")));
                REQUIRE_FALSE(queue.push(Order{1, "one"}));
                REQUIRE_FALSE(queue.flush());
                REQUIRE(queue.drain([](const Order&) {}).drained == 1);
                REQUIRE_FALSE(queue.flush());
                // The journal is not closed in order.
                disk.halt_at(disk.operations() + 1);
                return true;
            },
            [&](sim::Disk& disk, bool) {
                DiskJournal dead = open_at(disk, "dead");
                return open_at(disk, "q").size() == 0 && dead.size() == 1 &&
                       as_text(*dead.front()) == "?";
            },
            {.drawn_max = 100, .repeats_max = 100});
        INFO("mode " << static_cast<int>(flush) << ": " << report.failure);
        CHECK(report);
    }
}

namespace {

/// Lane 1 is for texts that begin with "B". The lanes take turns after each value.
struct ByLetter {
    std::size_t operator()(const Bytes& bytes) const noexcept {
        return bytes.size() > 4 && bytes[4] == std::byte{'B'} ? 1 : 0;
    }
};
auto alternating() {
    return Priority{std::array{Deque<Bytes>{9}, Deque<Bytes>{9}}, ByLetter{}, {.in_a_row = 1}};
}

}  // namespace

TEST_CASE("Encoded pops the value that it leases, and returns it again until the lease ends",
          "[queue][encoded][regression]") {
    const auto make = [] {
        Encoded encoded{alternating(), OrderCodec{}};
        for (std::uint32_t i = 1; i <= 3; ++i) {
            CHECK_FALSE(encoded.try_push(Order{i, "A"}));
            CHECK_FALSE(encoded.try_push(Order{i, "B"}));
        }
        return encoded;
    };
    SECTION("a pop takes the leased value") {
        auto encoded = make();
        for (std::uint32_t i = 1; i <= 3; ++i) {
            for (const char* const lane : {"A", "B"}) {
                CHECK(*encoded.front() == Order{i, lane});
                CHECK(*encoded.front() == Order{i, lane});
                CHECK(encoded.try_pop() == Order{i, lane});
            }
        }
        CHECK(encoded.size() == 0);
    }
    SECTION("an ack removes the leased value") {
        auto encoded = make();
        for (std::uint32_t i = 1; i <= 3; ++i) {
            for (const char* const lane : {"A", "B"}) {
                CHECK(*encoded.front() == Order{i, lane});
                CHECK(*encoded.front() == Order{i, lane});
                encoded.ack();
            }
        }
        CHECK(encoded.size() == 0);
    }
    SECTION("a nack ends the lease, and the turn of its lane") {
        auto encoded = make();
        CHECK(*encoded.front() == Order{1, "A"});
        CHECK(*encoded.front() == Order{1, "A"});
        encoded.nack();
        CHECK(encoded.try_pop() == Order{1, "B"});
        CHECK(encoded.try_pop() == Order{1, "A"});
    }
}

TEST_CASE("Encoded delays no lane by a value that it cannot decode", "[queue][encoded][fault]") {
    Priority lanes = alternating();
    REQUIRE(lanes.try_push(Bytes(2)));
    REQUIRE(lanes.try_push(bytes_of(Order{1, "B"})));
    SECTION("because the bytes are invalid") {
        Encoded encoded{std::move(lanes), OrderCodec{}};
        CHECK(encoded.front().error() == QueueErrc::bad_encoding);
        CHECK(encoded.try_pop() == Order{1, "B"});
        CHECK(encoded.front().error() == QueueErrc::bad_encoding);
        encoded.ack();
        CHECK(encoded.front().error() == QueueErrc::queue_empty);
    }
    SECTION("because memory is short") {
        struct Short : OrderCodec {
            std::optional<Order> decode(BytesView bytes) {
                if (bytes.size() < 4) throw std::bad_alloc{};
                return OrderCodec::decode(bytes);
            }
        };
        Encoded encoded{std::move(lanes), Short{}};
        CHECK_THROWS_AS(encoded.front(), std::bad_alloc);
        CHECK(encoded.try_pop() == Order{1, "B"});
        CHECK_THROWS_AS(encoded.front(), std::bad_alloc);
        CHECK(encoded.size() == 1);
    }
}

TEST_CASE("Encoded's drain leaves values pushed meanwhile for the next drain, after dead letters",
          "[queue][encoded][regression]") {
    const auto texts_of = [](auto storage) {
        Queue queue{Encoded{std::move(storage), OrderCodec{}, Letters{}}};
        std::vector<Texts> drained;
        for (int round = 0; round < 2; ++round) {
            Texts& texts = drained.emplace_back();
            const DrainReport result = queue.drain([&](const Order& it) {
                texts.push_back(it.text);
                CHECK_FALSE(queue.push(Order{it.number, it.text + "+"}));
            });
            CHECK_FALSE(result.error);
            CHECK(result.drained == texts.size());
        }
        CHECK(queue.storage().dead_letters().texts.size() == 2);
        return drained;
    };
    using Rounds = std::vector<Texts>;
    CHECK(texts_of(held({"?a", "?b", "c"})) == Rounds{{"c"}, {"c+"}});
    CHECK(texts_of(held({"c", "?a", "?b", "d"})) == Rounds{{"c", "d"}, {"c+", "d+"}});
    CHECK(texts_of(held({"c", "?a", "d", "?b"})) == Rounds{{"c", "d"}, {"c+", "d+"}});
    // No value that could be executed waits, at the start or at the end.
    CHECK(texts_of(held({"?a", "?b"})) == Rounds{{}, {}});
}

TEST_CASE("Encoded pushes by the overload that does not throw", "[queue][encoded][regression]") {
    Encoded<ThrowsForViews, OrderCodec> storage{ThrowsForViews{4}};
    CHECK_FALSE(storage.try_push(Order{1, "tea"}));
    CHECK(storage.try_pop() == Order{1, "tea"});
}
