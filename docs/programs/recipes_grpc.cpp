// SPDX-License-Identifier: MIT
#include <cstdio>

#include <grpcpp/support/status.h>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
template <>
struct belay::AnswerTraits<grpc::Status> {  // for all calls that return one
    static Cause failed(const grpc::Status& status) {
        switch (status.error_code()) {
            case grpc::StatusCode::OK:
                return Cause::none;
            case grpc::StatusCode::DEADLINE_EXCEEDED:
                return Cause::timed_out;
            case grpc::StatusCode::RESOURCE_EXHAUSTED:
                return Cause::overloaded;
            case grpc::StatusCode::UNAUTHENTICATED:
                return Cause::unauthorized;
            case grpc::StatusCode::PERMISSION_DENIED:
                return Cause::forbidden;
            case grpc::StatusCode::DATA_LOSS:
                return Cause::corrupt;
            case grpc::StatusCode::ABORTED:
            case grpc::StatusCode::INTERNAL:
            case grpc::StatusCode::UNAVAILABLE:
            case grpc::StatusCode::UNKNOWN:
                return Cause::lost;
            default:  // the request is wrong, and stays so
                return Cause::permanent;
        }
    }
};
// excerpt: end

int main() {
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    // excerpt: begin
    const Policy policy{Backoff{FullJitter{}, Cap{5s}, 1s}, StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized, Cause::corrupt},
                        Shared{budget}, MaxAttempts{4}};
    // excerpt: end
    int calls = 0;
    const auto say_hello = [&] {  // in a program: stub->SayHello(&context, request, &reply), with a new context each time
        return ++calls < 3 ? grpc::Status{grpc::StatusCode::UNAVAILABLE, "away"} : grpc::Status{};
    };
    const auto status = retry(policy, say_hello);
    std::printf("%s after %d calls\n", status ? "answered" : "failed", calls);
}
