// SPDX-License-Identifier: MIT
/// \file tests/support/sync/replica_server_rig.hpp
/// A ReplicaServer in the same process, which gets its requests as bytes, and a verification of
/// bodies.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <belay/sync/remote_sync_server.hpp>
#include <belay/sync/replica_server.hpp>
#include <belay/sync/sync_server_check.hpp>

#include "support/sync/replica_rig.hpp"

namespace belay_test {

template <class Store>
using RemoteProcessor = belay::SyncProcessor<std::reference_wrapper<Store>, belay::LastWriteWins,
                                             belay::NoObserver, SharedWall>;

/// A server in the same process, which gets its requests as bytes.
template <class Store = Memory>
struct BytesRig {
    belay::WallTime time{std::chrono::hours{1}};
    Store store{};
    RemoteProcessor<Store> processor{
        std::ref(store), belay::LastWriteWins{}, {}, {}, SharedWall{&time}};
    belay::part::ReplicaServer<RemoteProcessor<Store>, TextCodec> server{
        processor, TextCodec{}, {.page_elements = 3}};
    std::uint64_t questions = 0;
    std::size_t longest_answer = 0;
    std::uint64_t lose_in = 0;  // the number of the request or answer that is lost; 0: none

    belay::Result<belay::Bytes> operator()(const belay::Bytes& question, belay::Duration) {
        ++questions;
        if (lost()) return belay::SyncErrc::unanswered;
        auto answer = server.answer(question);
        longest_answer = std::max(longest_answer, answer.bytes.size());
        if (lost()) return belay::SyncErrc::unanswered;
        return std::move(answer.bytes);
    }
    bool lost() { return lose_in != 0 && --lose_in == 0; }
    auto body(std::size_t question_bytes = 512 << 10) {
        return belay::part::RemoteSyncServer<TextCodec, std::reference_wrapper<BytesRig>>{
            std::ref(*this), TextCodec{}, {.session = "s", .question_bytes = question_bytes}};
    }
};

/// Checks a body whose `rig()` is that of its server. `unwritable` has no encoded form.
template <class Body>
std::string fault_of_body(belay::check::SyncServerOptions options = {},
                          const std::string& unwritable = "unencodable") {
    static constexpr belay::WallTime time{std::chrono::hours{1}};
    const auto spoil = [&](Body& body, std::string_view element, const belay::Stamp& stamp) {
        const std::error_code error =
            body.rig().store.add({"s", element}, unwritable, {stamp, fresh_id(), 1, {}});
        if (error) throw std::system_error{error};
    };
    const auto fault = belay::check::sync_server([] { return Body{}; },
                                                 [](std::uint64_t i) { return std::to_string(i); },
                                                 spoil, options, SharedWall{&time});
    return fault ? to_string(fault->rule) : "none";
}

}  // namespace belay_test
