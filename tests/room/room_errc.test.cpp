// SPDX-License-Identifier: MIT
// Goal: every error has a text and a cause, and clients see it as the page states. Method: all
// values, and the ones beyond; the rules by which the codes were chosen.
#include <belay/room/room_errc.hpp>

#include <belay/room/detail/connection_core.hpp>
#include <belay/yjs/yjs_error.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include "support/catch.hpp"

using namespace belay;

namespace {

[[nodiscard]] constexpr bool reasons_are_in_order() {
    for (std::size_t i = 0; i < detail::RoomReasons::count; ++i) {
        if (detail::RoomReasons::rows[i].code != static_cast<RoomErrc>(i + 1)) return false;
    }
    return true;
}
static_assert(reasons_are_in_order());

}  // namespace

TEST_CASE("RoomErrc has a text and a cause for every value", "[room][room_errc][unit]") {
    constexpr int count = detail::RoomReasons::count;
    for (int i = 1; i <= count; ++i) {
        if (i >= 2 && i <= 4) continue;  // not in use
        const std::error_code code = static_cast<RoomErrc>(i);
        CHECK(code.message() != "unknown error");
        CHECK(cause_of(code) != Cause::none);
        CHECK(cause_of(code) != Cause::lost);
        CHECK(std::string{code.category().name()} == "belay.room");
    }
    for (const int beyond : {-1, 0, count + 1}) {
        const std::error_code code{beyond, belay::detail::room_category()};
        CHECK(code.message() == "unknown error");
        CHECK(detail::RoomReasons::find(code) == nullptr);
    }
    CHECK(make_error_code(RoomErrc::malformed_update) == Cause::protocol);
    CHECK(make_error_code(RoomErrc::document_full) == Cause::permanent);
}

TEST_CASE("RoomErrc closes a client with the code of its reason, and other errors by their cause",
          "[room][room_errc][golden]") {
    const RoomCloseCodes codes{.unauthorized = 3001, .forbidden = 3003, .too_large = 3413};
    const auto code_of = [&](const std::error_code& why) {
        return detail::room_close_code(why, codes);
    };
    const std::pair<RoomErrc, int> own[] = {
        {RoomErrc::client_removed, 1000},  {RoomErrc::manager_stopped, 1001},
        {RoomErrc::unknown_message, 1003}, {RoomErrc::history_reset, 4409},
        {RoomErrc::room_erased, 4410},     {RoomErrc::unauthorized, 3001},
        {RoomErrc::forbidden, 3003},       {RoomErrc::bad_room_id, 3003},
    };
    constexpr int count = detail::RoomReasons::count;
    for (int i = 1; i <= count; ++i) {
        const std::error_code why = static_cast<RoomErrc>(i);
        const auto row = std::find_if(std::begin(own), std::end(own),
                                      [&](const auto& one) { return one.first == why; });
        const int by_cause = cause_of(why) == Cause::protocol    ? 1007
                             : cause_of(why) == Cause::permanent ? 3413
                                                                 : 1013;
        INFO(why.message());
        CHECK(code_of(why) == (row != std::end(own) ? row->second : by_cause));
    }
    CHECK(code_of({}) == 1000);
    CHECK(code_of({count + 1, detail::room_category()}) == 1013);
    // Errors of a document, a protocol or a transport.
    CHECK(code_of(YjsErrc::malformed_update) == 1007);
    CHECK(code_of(YjsErrc::document_full) == 3413);
    CHECK(code_of(make_error_code(std::errc::io_error)) == 1013);
}

TEST_CASE("RoomErrc ends a connection, except for rights, histories and limits of one document",
          "[room][room_errc][golden]") {
    using detail::RoomReason;
    for (const RoomReason& reason : detail::RoomReasons::rows) {
        INFO(reason.word);
        constexpr RoomErrc of_client[] = {RoomErrc::unauthorized, RoomErrc::forbidden,
                                          RoomErrc::history_reset, RoomErrc::room_erased,
                                          // A client that has joined is never closed with these.
                                          RoomErrc::bad_room_id, RoomErrc::too_many,
                                          RoomErrc::room_full, RoomErrc::too_many_documents};
        const bool client_only = std::find(std::begin(of_client), std::end(of_client),
                                           reason.code) != std::end(of_client);
        CHECK((reason.ends == RoomReason::Ends::client) == client_only);
        const bool hidden =
            reason.code == RoomErrc::forbidden || reason.code == RoomErrc::bad_room_id;
        CHECK((reason.shown == RoomReason::Shown::as_forbidden) == hidden);
    }
}
