# What tests and examples have in common: labels, time, environment.
enable_testing()

set(pleat_timeout 120) # a loaded machine is no failure
if(pleat_instrument)
  set(pleat_timeout 600)
endif()
set(pleat_environment
  CK_DEFAULT_TIMEOUT=${pleat_timeout}
  OMP_WAIT_POLICY=passive # tests run side by side: a worker that waits leaves the processor to others
  "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1"
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
  # The OpenMP runtime is not instrumented; it tells the sanitizer of its synchronisation by itself (LLVM's archer).
  "TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1")

# A test with its labels, the environment and time that all have, and what else it wants of the environment.
function(pleat_test_properties name labels)
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${pleat_timeout}
    ENVIRONMENT "${pleat_environment};${ARGN}")
endfunction()
