// SPDX-License-Identifier: MIT
// Goal: a Requests finds the answers to its requests, and passes notices on. Method: each kind of
// message, whole and cut.
#include <belay/sync/sync_messages.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("SyncMessages finds the answers by their ids, and notices", "[sync][sync_messages]") {
    Bytes question;
    detail::SyncHeader::start(question, detail::SyncMessageKind::asks_changes);
    part::SyncMessages::put_id(question, 77);
    CHECK_FALSE(part::SyncMessages::id_of(question));  // a request of another program
    CHECK(detail::SyncHeader::id_of(question) == 77);
    Bytes answer;
    detail::SyncHeader::start(answer, detail::SyncMessageKind::page, 77);
    CHECK(part::SyncMessages::id_of(answer) == 77);
    answer.resize(detail::SyncHeader::size - 1);
    CHECK_FALSE(part::SyncMessages::id_of(answer));
    part::SyncMessages::put_id(answer, 5);  // too short for one
    const Bytes notice = part::SyncMessages::notice();
    CHECK(part::SyncMessages::is_notice(notice));
    CHECK_FALSE(part::SyncMessages::id_of(notice));
    CHECK_FALSE(part::SyncMessages::is_notice(question));
    CHECK_FALSE(part::SyncMessages::is_notice({}));
}
