// SPDX-License-Identifier: MIT
// The shape of gRPC's Status, for the recipe: the library itself is a hundred megabytes.
#pragma once

#include <string>

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

}  // namespace grpc
