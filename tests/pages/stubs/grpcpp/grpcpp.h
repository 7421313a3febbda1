// SPDX-License-Identifier: MIT
// The shape of what the recipe uses of gRPC: the library itself is a hundred megabytes.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#define GRPC_ARG_ENABLE_RETRIES "grpc.enable_retries"
#define GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS "grpc.initial_reconnect_backoff_ms"
#define GRPC_ARG_MAX_RECONNECT_BACKOFF_MS "grpc.max_reconnect_backoff_ms"

namespace grpc {

enum StatusCode {
    OK = 0,
    CANCELLED = 1,
    UNKNOWN = 2,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    FAILED_PRECONDITION = 9,
    ABORTED = 10,
    OUT_OF_RANGE = 11,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    DATA_LOSS = 15,
    UNAUTHENTICATED = 16
};

class Status {
public:
    Status() = default;
    Status(StatusCode code, std::string message) : code_{code}, message_{std::move(message)} {}
    [[nodiscard]] bool ok() const { return code_ == OK; }
    [[nodiscard]] StatusCode error_code() const { return code_; }
    [[nodiscard]] std::string error_message() const { return message_; }

private:
    StatusCode code_ = OK;
    std::string message_{};
};

class ClientContext {
public:
    template <class T>
    void set_deadline(const T& deadline) {
        deadline_ = deadline;
    }
    void set_wait_for_ready(bool waits) { waits_for_ready_ = waits; }
    [[nodiscard]] std::chrono::system_clock::time_point deadline() const { return deadline_; }
    [[nodiscard]] bool waits_for_ready() const { return waits_for_ready_; }

private:
    std::chrono::system_clock::time_point deadline_{};
    bool waits_for_ready_ = false;
};

class ChannelArguments {
public:
    void SetInt(const std::string&, int) {}
};
class Channel {};
class ChannelCredentials {};

inline std::shared_ptr<ChannelCredentials> InsecureChannelCredentials() { return nullptr; }
inline std::shared_ptr<Channel> CreateCustomChannel(const std::string&,
                                                    const std::shared_ptr<ChannelCredentials>&,
                                                    const ChannelArguments&) {
    return nullptr;
}

}  // namespace grpc
