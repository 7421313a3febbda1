// SPDX-License-Identifier: MIT
// Goal: an Operation has its parts, and its hash depends on each of them. Method: one of each
// kind, with every part changed alone.
#include <belay/sync/operation.hpp>

#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "support/catch.hpp"

using namespace belay;

namespace {

Operation<std::string> an_operation() {
    return {Id{std::byte{1}}, Stamp{WallTime{Duration{5}}, 1, Id{std::byte{2}}},
            UpdateElement{"note", std::string{"text"}}};
}

struct OwnValue {
    int number = 0;
    friend std::uint64_t content_hash(const OwnValue& value) noexcept {
        return static_cast<std::uint64_t>(value.number);
    }
};

}  // namespace

TEST_CASE("Operation has its kind, element, value and base", "[sync][operation]") {
    Operation<std::string> operation = an_operation();
    CHECK(operation.kind() == OperationKind::update);
    CHECK(operation.element() == "note");
    CHECK(operation.value() == "text");
    CHECK(operation.base() == nullptr);
    operation.action =
        UpdateElement{std::string{"note"}, std::string{"a"}, std::optional<std::string>{"b"}};
    REQUIRE(operation.base() != nullptr);
    CHECK(*operation.base() == "b");
    operation.action = AddElement{"other", std::string{"new"}};
    CHECK(operation.kind() == OperationKind::add);
    CHECK(operation.element() == "other");
    CHECK(operation.value() == "new");
    CHECK(operation.base() == nullptr);
    operation.action = RemoveElement{"gone"};
    CHECK(operation.kind() == OperationKind::remove);
    CHECK(operation.element() == "gone");
    operation.action = Interaction{"clicked", "twice"};
    CHECK(operation.kind() == OperationKind::interaction);
    CHECK(operation.element() == "clicked");
    CHECK(to_string(operation.kind()) == "interaction");
}

TEST_CASE("hash_of_operation differs where anything except the id differs", "[sync][operation]") {
    std::set<std::uint64_t> hashes;
    const auto add = [&](const auto& change) {
        Operation<std::string> operation = an_operation();
        change(operation);
        return hashes.insert(detail::hash_of_operation(operation)).second;
    };
    CHECK(add([](auto&) {}));
    CHECK_FALSE(add([](auto& o) { o.id = Id{std::byte{9}}; }));
    CHECK(add([](auto& o) { o.stamp.wall = WallTime{Duration{6}}; }));
    CHECK(add([](auto& o) { o.stamp.counter = 2; }));
    CHECK(add([](auto& o) { o.stamp.origin = Id{std::byte{3}}; }));
    CHECK(add([](auto& o) { o.action = UpdateElement{"note", std::string{"texts"}}; }));
    CHECK(add([](auto& o) { o.action = UpdateElement{"note2", std::string{"text"}}; }));
    CHECK(add([](auto& o) { o.action = AddElement{"note", std::string{"text"}}; }));
    CHECK(add([](auto& o) { o.action = RemoveElement{"note"}; }));
    CHECK(add([](auto& o) { o.action = Interaction{"note", "opened"}; }));
    CHECK(add([](auto& o) { o.action = Interaction{"note", "closed"}; }));
    CHECK(add([](auto& o) { o.action = Interaction{"note", ""}; }));
    using Update = UpdateElement<std::string>;
    CHECK(add([](auto& o) { o.action = Update{"note", "text", "base"}; }));
    CHECK(add([](auto& o) { o.action = Update{"note", "text", "other base"}; }));
    CHECK(add([](auto& o) { o.action = Update{"note", "text", ""}; }));
    // The border between element and value changes the hash, too.
    CHECK(add([](auto& o) { o.action = UpdateElement{"not", std::string{"etext"}}; }));
    // Zero bytes change the hash.
    CHECK(add([](auto& o) { o.action = UpdateElement{"note", std::string(8, '\0')}; }));
    CHECK(add([](auto& o) { o.action = UpdateElement{"note", std::string(16, '\0')}; }));
    CHECK(add([](auto& o) { o.action = UpdateElement{"note", std::string{}}; }));
}

TEST_CASE("hash_bytes is the same everywhere", "[sync][operation][golden]") {
    CHECK(detail::hash_bytes(as_bytes(""), 0) == 0xB55A8FA067537A73U);
    CHECK(detail::hash_bytes(as_bytes("belay"), 1) == 0xD97194A4D7370B65U);
    CHECK(detail::hash_bytes(as_bytes("belay catches a program"), 2) == 0x81AF81946612E1BEU);
}

TEST_CASE("hash_id is hash_bytes of an id", "[sync][operation]") {
    Random bits{Seed{1}};
    for (int i = 0; i < 100; ++i) {
        const Id id = make_id(bits);
        const std::uint64_t hash = bits();
        CHECK(detail::hash_id(id, hash) == detail::hash_bytes(id, hash));
    }
}

TEST_CASE("hash_bytes reads the last bytes in one load, with the same result",
          "[sync][operation]") {
    // A plain version, which mixes eight bytes at a time, and then the length with each remaining
    // byte.
    const auto plain = [](BytesView bytes, std::uint64_t hash) {
        constexpr std::uint64_t factor = 0xD6E8FEB86659FD93U;
        const auto mix = [&](std::uint64_t word) {
            const detail::Product p = detail::multiply(hash ^ word, factor);
            hash = p.high ^ p.low ^ factor;
        };
        std::size_t i = 0;
        for (; bytes.size() - i >= 8; i += 8) mix(load_le<std::uint64_t>(bytes.data() + i));
        std::uint64_t tail = bytes.size();
        for (; i < bytes.size(); ++i) tail = tail << 8 | std::to_integer<std::uint64_t>(bytes[i]);
        mix(tail);
        return detail::mix64(hash ^ bytes.size());
    };
    Random bits{Seed{1}};
    for (std::size_t length = 0; length < 600; ++length) {
        Bytes bytes(length);
        for (std::byte& b : bytes) b = static_cast<std::byte>(bits());
        CHECK(detail::hash_bytes(bytes, length) == plain(bytes, length));
    }
}

TEST_CASE("OperationLike accepts values that hash themselves", "[sync][operation]") {
    STATIC_REQUIRE(OperationLike<Operation<OwnValue>>);
    STATIC_REQUIRE(OperationLike<Operation<int>>);
    STATIC_REQUIRE(OperationLike<Operation<Bytes>>);
    STATIC_REQUIRE_FALSE(OperationLike<Operation<std::optional<int>>>);
    Operation<OwnValue> one{Id{std::byte{1}}, Stamp{}, AddElement{"a", OwnValue{1}}};
    Operation<OwnValue> two{Id{std::byte{1}}, Stamp{}, AddElement{"a", OwnValue{2}}};
    CHECK(detail::hash_of_operation(one) != detail::hash_of_operation(two));
}

namespace {
enum class Colour : std::uint8_t { red, green };
struct Point {
    int x;
    int y;
};
std::uint64_t content_hash(const Point& point) { return part::hash_fields(point.x, point.y); }
}  // namespace

TEST_CASE("part::hash_fields is the same in every build, and depends on each field",
          "[sync][operation][golden]") {
    using namespace std::string_view_literals;
    CHECK(part::hash_fields(7) == 0xDF2BBB9538AAE818U);
    CHECK(part::hash_fields("text"sv, true, Colour::green) == 0xF735854A3D0FB937U);
    CHECK(part::hash_fields(Point{1, 2}, std::string{}) == 0xE004B7289D21C9B7U);
    CHECK(part::hash_fields(1, 2) != part::hash_fields(2, 1));
    CHECK(part::hash_fields(1) != part::hash_fields(1, 0));
    CHECK(part::hash_fields("ab"sv, "c"sv) != part::hash_fields("a"sv, "bc"sv));
    CHECK(part::hash_fields(""sv, "a"sv) != part::hash_fields("a"sv, ""sv));
    CHECK(part::hash_fields(Point{1, 2}) != part::hash_fields(Point{2, 1}));
}

TEST_CASE("a map has a hash of its entries, in whichever order it iterates",
          "[sync][operation_like]") {
    using Fields = std::map<std::string, std::string>;
    const Fields fields{{"title", "milk"}, {"shop", "corner"}};
    const std::map<std::string, std::string, std::greater<>> backwards{fields.begin(),
                                                                       fields.end()};
    const std::unordered_map<std::string, std::string> hashed{fields.begin(), fields.end()};
    CHECK(part::hash_fields(fields) == 0x2DBAF8A36F8CDFC9U);
    CHECK(part::hash_fields(backwards) == part::hash_fields(fields));
    CHECK(part::hash_fields(hashed) == part::hash_fields(fields));
    CHECK(part::hash_fields(Fields{{"title", "corner"}, {"shop", "milk"}}) !=
          part::hash_fields(fields));
    CHECK(part::hash_fields(Fields{{"milk", "title"}}) !=
          part::hash_fields(Fields{{"title", "milk"}}));
    CHECK(part::hash_fields(Fields{{"", ""}}) != part::hash_fields(Fields{}));
    CHECK(part::hash_fields(std::map<int, Fields>{{1, fields}}) !=
          part::hash_fields(std::map<int, Fields>{{2, fields}}));
    static_assert(!detail::ContentHashable<std::map<std::string, double>>);
    static_assert(OperationLike<Operation<Fields>>);
}
