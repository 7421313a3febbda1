// SPDX-License-Identifier: MIT
// Goal: FanoutLike accepts its minimal model, and rejects types that lack one requirement each or
// have another form of it. A type of another form is reported, and does not count as no fan-out.
#include <belay/room/fanout_like.hpp>

#include <belay/room/memory_rooms.hpp>

namespace {

using namespace belay;

struct MinimalFanout {
    static std::error_code begin(std::string_view, const Id&, bool) { return {}; }
    static std::error_code append(std::string_view, BytesView, const part::ChangeId&) { return {}; }
    static void publish(std::string_view, BytesView) {}
    static void subscribe(std::string_view, const Id&, std::uint64_t,
                          Completion<Result<part::FanoutBatch, PersistenceError>>) {}
};
struct FanoutWithoutBegin {
    static void publish(std::string_view, BytesView) {}
    static void subscribe(std::string_view, const Id&, std::uint64_t,
                          Completion<Result<part::FanoutBatch, PersistenceError>>) {}
};
struct FanoutBeginsBlindly : MinimalFanout {
    static std::error_code begin(std::string_view, const Id&) { return {}; }
};
struct FanoutThatOnlyBegins {
    static std::error_code begin(std::string_view, const Id&, bool) { return {}; }
};
struct FanoutAppendsWithoutIds : MinimalFanout {
    static std::error_code append(std::string_view, BytesView) { return {}; }
};
// For example a transaction.
struct StorageWithAnotherBegin {
    static void begin() {}
};
struct FanoutPublishesText : MinimalFanout {
    static void publish(std::string_view, int) {}
};
struct FanoutSubscribesForGood : MinimalFanout {
    static void subscribe(std::string_view,
                          Completion<Result<part::FanoutBatch, PersistenceError>>) {}
};
struct FanoutOfOverloads {
    static void subscribe(int) {}
    static void subscribe(double) {}
};
class FanoutInPrivate {
    [[maybe_unused]] static void publish(std::string_view, BytesView) {}
};

static_assert(FanoutLike<MinimalFanout> && explain::fanout_like<MinimalFanout>());
static_assert(!FanoutLike<FanoutWithoutBegin> && !FanoutLike<FanoutPublishesText>);
static_assert(!FanoutLike<FanoutSubscribesForGood> && !FanoutLike<MemoryRooms>);

static_assert(detail::FanoutIsSound<MinimalFanout> && detail::FanoutIsSound<MemoryRooms>);
static_assert(!detail::FanoutIsSound<FanoutWithoutBegin>);
static_assert(!FanoutLike<FanoutBeginsBlindly> && !detail::FanoutIsSound<FanoutBeginsBlindly>);
static_assert(!detail::FanoutIsSound<FanoutPublishesText>);
static_assert(!detail::FanoutIsSound<FanoutThatOnlyBegins>);
static_assert(!detail::FanoutIsSound<FanoutAppendsWithoutIds>);
static_assert(detail::FanoutIsSound<StorageWithAnotherBegin>);
static_assert(!detail::FanoutIsSound<FanoutSubscribesForGood>);
static_assert(!detail::FanoutIsSound<FanoutOfOverloads> && !detail::FanoutIsSound<FanoutInPrivate>);

}  // namespace
