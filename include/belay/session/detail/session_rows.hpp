// SPDX-License-Identifier: MIT
/// \file belay/session/detail/session_rows.hpp
/// The numbers of a SessionStatus and of an OutboxStatus, in logs and metrics.
#pragma once

#include <belay/core/text.hpp>
#include <belay/session/outbox.hpp>
#include <belay/session/session.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

inline constexpr Row<SessionStatus> session_counters[] = {
    {"taken", &SessionStatus::taken, "Operations that send() took."},
    {"accepted", &SessionStatus::accepted, "Operations that are durable here."},
    {"acknowledged", &SessionStatus::acknowledged, "Operations that are delivered."}};
inline constexpr Row<OutboxStatus> outbox_gauges[] = {
    {"waiting", &OutboxStatus::waiting, "Messages that wait to be sent."},
    {"in_flight", &OutboxStatus::in_flight, "Messages sent and not acknowledged."}};
inline constexpr Row<OutboxStatus> outbox_counters[] = {
    {"sent", &OutboxStatus::sent, "Times that a message was handed to a connection."},
    {"sent_again", &OutboxStatus::sent_again, "Times that it had been sent before."},
    {"acknowledged", &OutboxStatus::acknowledged, "Messages that were acknowledged."},
    {"unsent", &OutboxStatus::unsent, "Messages that the transport rejected."}};

}}}  // namespace belay::detail
