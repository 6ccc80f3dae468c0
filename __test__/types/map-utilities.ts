import { check } from "./helpers";
import type { ClientToServer, Equal, ServerToClient } from "./helpers";
import type {
  AllButLast,
  DecorateAcknowledgements,
  DecorateAcknowledgementsWithMultipleResponses,
  DecorateAcknowledgementsWithTimeoutAndMultipleResponses,
  DefaultEventsMap,
  EventNames,
  EventNamesWithAck,
  EventNamesWithError,
  EventNamesWithoutAck,
  EventParams,
  FirstNonErrorArg,
  FirstNonErrorTuple,
  Last,
  MultiplyArray,
  RemoveAcknowledgements,
} from "../../types/typed-events";

// names
check<Equal<EventNames<ServerToClient>, "said" | "ask" | "ping" | "message">>();
check<Equal<EventNames<DefaultEventsMap>, string>>();
check<Equal<EventParams<ServerToClient, "said">, [from: string, text: string]>>();

// with and without acknowledgement
check<Equal<EventNamesWithAck<ServerToClient>, "ask" | "ping">>();
check<Equal<EventNamesWithoutAck<ServerToClient>, "said" | "message">>();
check<Equal<EventNamesWithAck<ClientToServer>, "save">>();
check<Equal<EventNamesWithoutAck<ClientToServer>, "say" | "quit">>();
check<Equal<keyof RemoveAcknowledgements<ServerToClient>, "said" | "message">>();
check<Equal<EventNamesWithError<ServerToClient>, never>>();
check<Equal<EventNamesWithError<DecorateAcknowledgements<ServerToClient>>, "ask" | "ping">>();
check<Equal<EventNamesWithAck<{ two: (a: () => void, b: string) => void }>, never>>();
check<Equal<EventNamesWithAck<{ rest: (...all: (() => void)[]) => void }>, "rest">>();

// where anything is possible, everything is allowed
interface Vague {
  vague: (value: any) => void;
  plain: (value: string) => void;
}
check<Equal<EventNamesWithAck<Vague>, "vague" | "plain">>();
check<Equal<EventNamesWithoutAck<Vague>, "vague" | "plain">>();
check<Equal<EventNamesWithAck<DefaultEventsMap>, string>>();
check<Equal<EventNamesWithoutAck<DefaultEventsMap>, string>>();
check<Equal<EventNamesWithError<DefaultEventsMap>, string>>();

// decorations
interface Save {
  save: (text: string, done: (id: number, at: Date) => string) => boolean;
}
interface SaveWithError {
  save: (text: string, done: (err: Error, id: number, at: Date) => string) => boolean;
}
interface SaveByMany {
  save: (text: string, done: (ids: number[]) => string) => boolean;
}
interface SaveByManyWithError {
  save: (text: string, done: (err: Error, ids: number[]) => string) => boolean;
}
type Ack<Map extends { save: any }> = Parameters<Map["save"]>[1];
check<Equal<Ack<DecorateAcknowledgements<Save>>, Ack<SaveWithError>>>();
check<Equal<Ack<DecorateAcknowledgements<SaveWithError>>, Ack<SaveWithError>>>();
check<Equal<Ack<DecorateAcknowledgementsWithMultipleResponses<Save>>, Ack<SaveByMany>>>();
check<Equal<Ack<DecorateAcknowledgementsWithMultipleResponses<SaveWithError>>, Ack<SaveByManyWithError>>>();
check<Equal<Ack<DecorateAcknowledgementsWithTimeoutAndMultipleResponses<Save>>, Ack<SaveByManyWithError>>>();
check<Equal<ReturnType<DecorateAcknowledgements<Save>["save"]>, boolean>>();

// tuples and functions
check<Equal<Last<[]>, never>>();
check<Equal<Last<[1]>, 1>>();
check<Equal<Last<[1, 2, 3]>, 3>>();
check<Equal<Last<readonly [1, 2]>, 2>>();
check<Equal<Last<string[]>, string>>();
check<Equal<Last<[1, ...string[]]>, string>>();
check<Equal<AllButLast<[1, 2, 3]>, [1, 2]>>();
check<Equal<AllButLast<[1]>, []>>();
check<Equal<AllButLast<string[]>, any[]>>();
check<Equal<MultiplyArray<[string, number]>, [string[], number[]]>>();
check<Equal<FirstNonErrorTuple<[Error, string]>, string>>();
check<Equal<FirstNonErrorTuple<[string, number]>, string>>();
check<Equal<FirstNonErrorArg<(err: TypeError, value: string) => void>, string>>();
check<Equal<FirstNonErrorArg<(value: string) => void>, string>>();
check<Equal<FirstNonErrorArg<() => void>, undefined>>();
check<Equal<FirstNonErrorArg<string>, any>>();
